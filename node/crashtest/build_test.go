package crashtest_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// edit replaces a text that must stand in a file exactly once.
type edit struct{ file, old, new string }

// wiring puts the failpoints into a node.
var wiring = []edit{
	{"node/engines.go", "\tparts.onEnd(closing(log, \"journal\", journal.Close))", "\tparts.onEnd(closing(log, \"journal\", disk.Close))\n\tjournal := crashtest.Journal(disk)"},
	{"node/engines.go", "\tjournal, err := journaldisk.Open(", "\tdisk, err := journaldisk.Open("},
	{"node/engines.go", "\tparts.onEnd(closing(log, \"store\", store.Close))", "\tparts.onEnd(closing(log, \"store\", rows.Close))\n\tstore := crashtest.Store(rows)"},
	{"node/engines.go", "\tstore, err := storedisk.Open(", "\trows, err := storedisk.Open("},
	{"node/engines.go", "errors.Join(journal.Damaged(), store.Damaged())", "errors.Join(disk.Damaged(), rows.Damaged())"},
	{"node/engines.go", "journal.Full,", "disk.Full,"},
	{"node/engines.go", "journal.Redact,", "disk.Redact,"},
	{"node/engines.go", "errors.Join(journal.Purge(ctx), store.Purge(ctx))", "errors.Join(disk.Purge(ctx), rows.Purge(ctx))"},
	{"node/engines.go", "snapshotdisk.Open(vfs.Default, ", "snapshotdisk.Open(crashtest.Files(vfs.Default), "},
	{"node/engines.go", "\t\"github.com/tocsin-push/tocsin/snapshot\"\n", "\t\"github.com/tocsin-push/tocsin/node/crashtest\"\n\t\"github.com/tocsin-push/tocsin/snapshot\"\n"},
	{"bulk/pool.go", "\t\tp.dial = new(net.Dialer).DialContext", "\t\tp.dial = crashtest.Dial(new(net.Dialer).DialContext)"},
	{"bulk/pool.go", "\t\"github.com/tocsin-push/tocsin/provider\"\n", "\t\"github.com/tocsin-push/tocsin/node/crashtest\"\n\t\"github.com/tocsin-push/tocsin/provider\"\n"},
}

// build makes the binary to kill from the tree, with the failpoints and, for
// a test of the judge, a bug. It is made again only when something changed.
func build(t *testing.T, name string, bug ...edit) string {
	t.Helper()
	tree, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(tree, "bin", "crashtest", name)
	folder := filepath.Join(tree, "bin", "crashtest", "_"+name) // always the same, or all is compiled anew; "_": no room
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{filepath.Join(tree, "cmd/tocsin/main.go"): filepath.Join(tree, "node/crashtest/testdata/victim.go")}
	texts := map[string]string{}
	for _, e := range append(bug, wiring...) {
		file := filepath.Join(tree, e.file)
		if texts[file] == "" {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
		if n := strings.Count(texts[file], e.old); n != 1 {
			t.Fatalf("%s has %d times, and should have once:\n%s", e.file, n, e.old)
		}
		texts[file] = strings.Replace(texts[file], e.old, e.new, 1)
	}
	for file, text := range texts {
		other := filepath.Join(folder, strings.ReplaceAll(strings.TrimPrefix(file, tree+"/"), "/", "_"))
		if err := os.WriteFile(other, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[file] = other
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(list, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "build", "-overlay", list, "-o", program, "./cmd/tocsin")
	command.Dir = tree
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("the node with failpoints cannot be built: %v\n%s", err, out)
	}
	return program
}
