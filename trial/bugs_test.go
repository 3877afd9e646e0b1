package trial

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var (
	bugs    = flag.Bool("bugs", false, "build each deliberate bug and look for it")
	bugName = flag.String("bug", "", "only bugs whose name contains this")
	enough  = flag.Int("enough", 20_000, "seeds within which each bug must be found")
)

// change is one place of a bug: a text that stands once in a file, and what
// becomes of it.
type change struct{ file, from, to string }

// parse reads a bug: blocks of "--- FILE", the text, "=== becomes", the new text.
func parse(t *testing.T, path string) (changes []change) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range strings.Split("\n"+string(data), "\n--- ")[1:] {
		file, rest, _ := strings.Cut(block, "\n")
		from, to, ok := strings.Cut(rest, "=== becomes")
		if !ok {
			t.Fatalf("%s: a block without \"=== becomes\"", path)
		}
		changes = append(changes, change{file, strings.TrimSuffix(from, "\n"), strings.TrimSuffix(strings.TrimPrefix(to, "\n"), "\n")})
	}
	return changes
}

// overlay writes the changed files and the map that the compiler reads.
func overlay(t *testing.T, changes []change) string {
	dir := t.TempDir()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, c := range changes {
		if files[c.file] == "" {
			data, err := os.ReadFile(filepath.Join(root, c.file))
			if err != nil {
				t.Fatal(err)
			}
			files[c.file] = string(data)
		}
		if n := strings.Count(files[c.file], c.from); n != 1 {
			t.Fatalf("it does not apply any more: %s has %d times\n%s", c.file, n, c.from)
		}
		files[c.file] = strings.Replace(files[c.file], c.from, c.to, 1)
	}
	replace := map[string]string{}
	for file, text := range files {
		path := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, file)] = path
	}
	data, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var firstBroken = regexp.MustCompile(`seed (\d+): .* broken: (.*)`)

// Every deliberate bug still applies to the code, and with -bugs each is built
// and found by the histories.
func TestBugs(t *testing.T) {
	paths, err := filepath.Glob("bugs/*.txt")
	if err != nil || len(paths) < 24 {
		t.Fatalf("%d bugs, %v", len(paths), err)
	}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".txt")
		if !strings.Contains(name, *bugName) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			replaced := overlay(t, parse(t, path))
			if !*bugs {
				return
			}
			binary := filepath.Join(t.TempDir(), "trial.test")
			if out, err := exec.Command("go", "test", "-c", "-vet=off", "-overlay", replaced, "-o", binary, ".").CombinedOutput(); err != nil {
				t.Fatalf("it does not build: %v\n%s", err, out)
			}
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
			defer stop()
			out, err := exec.CommandContext(ctx, binary, "-test.run", "^TestHistories$", "-seeds", fmt.Sprint(*enough)).CombinedOutput()
			found := firstBroken.FindSubmatch(out)
			if err == nil || found == nil {
				t.Fatalf("not found in %d seeds: %v\n%.2000s", *enough, err, out)
			}
			t.Logf("found by seed %s: %.300s", found[1], found[2])
		})
	}
}
