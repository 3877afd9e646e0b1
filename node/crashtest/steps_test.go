package crashtest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// missingSteps reads the product's sources for what it appends to the journal
// and which tables of the store it writes, and returns what no failpoint
// stands for.
func missingSteps(t *testing.T, names []string) (missing []string) {
	t.Helper()
	has := func(parts ...string) bool {
		return slices.ContainsFunc(names, func(name string) bool {
			for _, part := range parts {
				if !strings.Contains(name, part) {
					return false
				}
			}
			return true
		})
	}
	kinds, tables := durable(t)
	for _, kind := range kinds {
		if !has("journal: ", "append ", strings.ToLower(kind)) {
			missing = append(missing, "append of "+kind)
		}
	}
	for _, table := range tables {
		// A size is a sample at each full hour. Seats, leases of quota and snapshots
		// are rows only where several processes share the shards.
		switch table {
		case "segment_size", "seat", "quota", "snapshots", "snapshot_pieces":
			continue
		}
		if !has("store: " + table + ": ") {
			missing = append(missing, "table "+table)
		}
	}
	for _, step := range []string{"journal: sends: append cancel", "journal: ledger: append cancel", "journal: sends: trim", "journal: slices: trim",
		"journal: ledger: trim", "journal: changes: trim", "files: create draft", "files: write draft", "files: sync draft", "files: rename draft", "files: sync folder",
		"store: idempotency: put", "connection: write",
		"journal: changes: append move", "journal: changes: append arrive", "journal: changes: append leave"} {
		if !has(step+" / before") || !has(step+" / after") {
			missing = append(missing, step)
		}
	}
	// A snapshot of a large shard shares parts with an earlier one, whose file then
	// stays for as long as that pays.
	if *people <= 5000 && !has("files: remove snapshot / after") {
		missing = append(missing, "files: remove snapshot")
	}
	for _, name := range names {
		if step, ok := strings.CutSuffix(name, " / before"); ok && !has(step+" / after") {
			missing = append(missing, step+" / after")
		}
	}
	return missing
}

// durable returns the kinds of records that the product makes, and the tables
// that it names.
func durable(t *testing.T) (kinds, tables []string) {
	t.Helper()
	constants := map[string]string{} // by room and name
	var asked []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		room, _ := filepath.Rel("../..", filepath.Dir(path))
		if d.IsDir() {
			if slices.Contains([]string{"trial", "bin", "bench", "record", ".git", "testdata"}, d.Name()) || strings.HasSuffix(d.Name(), "test") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if s, ok := n.Type.(*ast.SelectorExpr); ok && strings.HasPrefix(s.Sel.Name, "Envelope_") {
					kinds = append(kinds, strings.TrimPrefix(s.Sel.Name, "Envelope_"))
				}
			case *ast.KeyValueExpr:
				if k, ok := n.Key.(*ast.Ident); ok && k.Name == "Table" {
					switch v := n.Value.(type) {
					case *ast.BasicLit:
						tables = append(tables, strings.Trim(v.Value, `"`))
					case *ast.Ident:
						asked = append(asked, room+"."+v.Name)
					}
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if i < len(n.Values) {
						if v, ok := n.Values[i].(*ast.BasicLit); ok && v.Kind == token.STRING {
							constants[room+"."+name.Name] = strings.Trim(v.Value, `"`)
						}
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range asked {
		tables = append(tables, constants[name])
	}
	slices.Sort(kinds)
	slices.Sort(tables)
	kinds, tables = slices.Compact(kinds), slices.Compact(tables)
	if len(kinds) < 8 || len(tables) < 8 {
		t.Fatalf("the sources name only the records %v and the tables %v: this test no longer reads them right", kinds, tables)
	}
	return kinds, tables
}

// TestSourcesAreRead keeps the reading of the sources right.
func TestSourcesAreRead(t *testing.T) {
	kinds, tables := durable(t)
	t.Logf("records %v, tables %v", kinds, tables)
	if missing := missingSteps(t, []string{"journal: sends: append send / before"}); len(missing) < 20 {
		t.Errorf("with one failpoint only these steps lack one: %v", missing)
	}
}
