package tocsin_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tocsin-push/tocsin"

// levels is the map of ARCHITECTURE.md, highest first. A room imports only
// rooms of lower levels; rooms of one level meet in the journal or through a
// function that node passes in.
var levels = [][]string{
	{"cmd/tocsin", "bench"},
	{"cli"},
	{"node", "trial"},
	{"api"},
	{"plan", "fanout", "receipt"},
	{"account", "audience", "catalogue", "provider/apns", "provider/fcm", "provider/webpush", "sim"},
	{"client"},
	{"ask"},
	{"index", "pace", "content", "bulk", "journal/mem", "journal/disk", "journal/kafka", "store/mem", "store/disk", "store/cassandra", "snapshot/disk", "snapshot/rows"},
	{"target", "ledger", "provider", "journal", "store", "snapshot", "store/disk/folder"},
	{"record"},
	{"."},
}

// Kits and the trial serve tests only and may not reach the binary.
var kits = []string{"journal/journaltest", "store/storetest", "snapshot/snapshottest", "provider/providertest", "store/disk/folder/crashtest", "node/crashtest", "node/browsertest", "node/clustertest", "bulk/servertest", "ask/asktest", "engines"}
var neverInBinary = append([]string{"trial"}, kits...)

type goPackage struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

func listPackages(t *testing.T) map[string]goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports,Deps", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages := map[string]goPackage{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages[room(p.ImportPath)] = p
	}
}

func room(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func levelOf(room string) int {
	return slices.IndexFunc(levels, func(l []string) bool { return slices.Contains(l, room) })
}

func TestImportsGoDown(t *testing.T) {
	for name, p := range listPackages(t) {
		if slices.Contains(kits, name) {
			continue
		}
		from := levelOf(name)
		if from < 0 {
			t.Errorf("room %s is not on the map of levels: add it to ARCHITECTURE.md and to this test, or move its code", name)
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, module) {
				continue
			}
			to := levelOf(room(imported))
			switch {
			case slices.Contains(kits, room(imported)):
				t.Errorf("%s imports %s: conformance kits are for tests", name, room(imported))
			case room(imported) == "sim" && from > levelOf("cli"):
				t.Errorf("%s imports sim: only the demo may start simulated providers", name)
			case to == from:
				t.Errorf("%s imports %s, a room beside it: they meet in the journal, or node passes a function in", name, room(imported))
			case to < from:
				t.Errorf("%s imports %s, a room above it: pass a function in from node instead", name, room(imported))
			}
		}
	}
}

func TestRootImportsOnlyTheStandardLibrary(t *testing.T) {
	for _, imported := range listPackages(t)["."].Imports {
		if strings.Contains(strings.Split(imported, "/")[0], ".") {
			t.Errorf("the vocabulary imports %s: it may use the standard library only", imported)
		}
	}
}

func TestTestRoomsStayOutOfTheBinary(t *testing.T) {
	binary, ok := listPackages(t)["cmd/tocsin"]
	if !ok {
		t.Fatal("cmd/tocsin is missing")
	}
	for _, name := range neverInBinary {
		if slices.Contains(binary.Deps, module+"/"+name) {
			t.Errorf("the binary contains %s, which is for tests", name)
		}
	}
}

func TestEveryRoomTellsWhatItIs(t *testing.T) {
	for name, p := range listPackages(t) {
		if len(p.GoFiles) == 0 || name == "cmd/tocsin" {
			continue
		}
		if !slices.Contains(p.GoFiles, "doc.go") {
			t.Errorf("room %s has no doc.go: say what it does, reads, writes and must never import", name)
		}
	}
}

func TestMapNamesEveryRoom(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	packages := listPackages(t)
	for name := range packages {
		if name != "." && !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("ARCHITECTURE.md does not name the room %s", name)
		}
	}
	for _, level := range levels {
		for _, name := range level {
			if _, ok := packages[name]; !ok {
				t.Errorf("the map names a room that does not exist: %s", name)
			}
		}
	}
}

func TestFilesStaySmall(t *testing.T) {
	out, err := exec.Command("git", "ls-files", "*.go").Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	var all, long int
	for _, name := range strings.Fields(string(out)) {
		if strings.HasSuffix(name, ".pb.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		all++
		switch lines := strings.Count(string(text), "\n"); {
		case lines > 800:
			t.Errorf("%s has %d lines: cut it", name, lines)
		case lines > 400:
			long++
		}
		switch folder := path.Base(path.Dir(name)); folder {
		case "util", "utils", "common", "helpers", "models", "misc", "internal", "pkg":
			t.Errorf("%s lies in a folder whose name says nothing", name)
		}
	}
	if long*10 > all {
		t.Errorf("%d of %d files have over 400 lines: nine in ten must stay below", long, all)
	}
}
