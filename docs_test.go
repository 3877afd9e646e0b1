package tocsin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A send is followed by the functions that ARCHITECTURE.md names.
func TestNamedFunctionsAreThere(t *testing.T) {
	named := regexp.MustCompile("`(\\w+)` in\\s+`(\\S+\\.go)`").FindAllStringSubmatch(text(t, "ARCHITECTURE.md"), -1)
	if len(named) < 7 {
		t.Fatalf("ARCHITECTURE.md names %d functions with their files, want at least the seven of a send", len(named))
	}
	for _, n := range named {
		if !regexp.MustCompile(`(?m)^func (\([^)]*\) )?` + n[1] + `[\[(]`).MatchString(text(t, n[2])) {
			t.Errorf("ARCHITECTURE.md names %s in %s, which has no such function", n[1], n[2])
		}
	}
}

// What docs/provenance.md says to run is there to be run.
func TestEveryFeatureNamesItsProof(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| (.+) \| [SIO] \| (.*)\| (.+) \|$`).FindAllStringSubmatch(text(t, "docs/provenance.md"), -1)
	if len(rows) == 0 {
		t.Fatal("docs/provenance.md has no rows")
	}
	command := regexp.MustCompile("`([^`]+)`")
	for _, row := range rows {
		found := command.FindAllStringSubmatch(row[3], -1)
		if len(found) == 0 {
			t.Errorf("%q names no command", row[1])
		}
		for _, c := range found {
			words := strings.Fields(strings.ReplaceAll(c[1], `\|`, "|"))
			switch words[0] {
			case "make":
				if !strings.Contains(text(t, "Makefile"), "\n"+words[1]+":") {
					t.Errorf("%q: there is no `%s`", row[1], c[1])
				}
			case "go":
				if words[1] == "test" && !testsMatch(t, words[2:]) {
					t.Errorf("%q: `%s` runs no test", row[1], c[1])
				}
			}
		}
	}
}

// testsMatch reports whether every folder of a `go test` holds tests, and -run
// chooses one of them.
func testsMatch(t *testing.T, words []string) (chosen bool) {
	choice := regexp.MustCompile("")
	if i := slices.Index(words, "-run"); i >= 0 {
		choice = regexp.MustCompile(strings.Trim(strings.Join(words[i+1:], " "), "'"))
		words = words[:i]
	}
	for _, word := range words {
		folder, below := strings.CutSuffix(word, "/...")
		if !strings.HasPrefix(folder, "./") {
			continue // a flag, or its value
		}
		files, _ := filepath.Glob(filepath.Join(folder, "*_test.go"))
		if below {
			more, _ := filepath.Glob(filepath.Join(folder, "*", "*_test.go"))
			files = append(files, more...)
		}
		if len(files) == 0 {
			return false
		}
		for _, file := range files {
			for _, name := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(text(t, file), -1) {
				chosen = chosen || choice.MatchString(name[1])
			}
		}
	}
	return chosen
}

func text(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
