//go:build engines

package cassandra

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin/engines"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/storetest"
)

func start(t *testing.T, nodes int, settings ...string) *engines.Cassandra {
	t.Helper()
	jars, err := engines.Folder()
	if err != nil {
		t.Fatal(err)
	}
	c, err := engines.StartCassandra(t.Context(), jars, t.TempDir(), nodes, settings...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func config(t *testing.T, c *engines.Cassandra, keyspace string) Config {
	conf := Default()
	conf.Hosts, conf.Keyspace, conf.Metrics = c.Hosts(), keyspace, prometheus.NewRegistry()
	conf.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError + 1}))
	return conf
}

// prepared makes the keyspace ready, and opens a store on it.
func prepared(t *testing.T, c Config, replicas int) *Store {
	t.Helper()
	p, err := Prepare(t.Context(), c, replicas)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.Apply(t.Context()); err != nil {
		t.Fatalf("%v: %q", err, p.Problems)
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contract runs the kit in one keyspace, emptied for each rule.
func contract(t *testing.T, c *engines.Cassandra) {
	conf := config(t, c, "kit")
	conf.Timeout, conf.Patience = 20*time.Second, 20*time.Second // on a busy machine, too
	storetest.Run(t, func(t *testing.T) storetest.Engine {
		s := prepared(t, conf, len(c.Nodes))
		if err := s.session.Query("TRUNCATE kit.rows").Exec(); err != nil {
			t.Fatal(err)
		}
		return storetest.Engine{Store: s, Now: time.Now, Advance: time.Sleep, Reopen: func() (again store.Store) {
			err := s.Close()
			if err == nil {
				s, err = Open(t.Context(), conf)
			}
			if err != nil {
				t.Fatal(err)
			}
			return s
		}}
	})
}

func TestOneNode(t *testing.T) {
	c := start(t, 1)
	t.Run("contract", func(t *testing.T) { contract(t, c) })
	t.Run("prepared once", func(t *testing.T) { preparedOnce(t, c) })
	t.Run("erased", func(t *testing.T) { erased(t, c) })
	t.Run("killed", func(t *testing.T) { killedAlone(t, c) })
}

// preparedOnce looks at what Prepare says of a cluster before, after, and once
// somebody has changed what promises stand on.
func preparedOnce(t *testing.T, c *engines.Cassandra) {
	conf := config(t, c, "prepared")
	look := func(replicas int) *Preparation {
		t.Helper()
		p, err := Prepare(t.Context(), conf, replicas)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Close)
		return p
	}
	if _, err := Open(t.Context(), conf); err == nil || !strings.Contains(err.Error(), "tocsin cluster init") {
		t.Fatalf("a keyspace that is not there was opened: %v", err)
	}
	if p := look(3); len(p.Problems) != 1 || p.Apply(t.Context()) == nil {
		t.Fatalf("three replicas on one node: %q", p.Problems)
	}
	first := look(1)
	if len(first.Steps) != 5 || len(first.Problems)+len(first.Unread) != 0 {
		t.Fatalf("%q, %q, %q", first.Steps, first.Problems, first.Unread)
	}
	s := prepared(t, conf, 1)
	defer s.Close()
	if p := look(1); len(p.Steps) != 0 || len(p.Problems) != 0 {
		t.Fatalf("once more: %q, %q", p.Steps, p.Problems)
	}
	for _, change := range []struct{ broken, mended string }{
		{"ALTER KEYSPACE prepared WITH durable_writes = false", "ALTER KEYSPACE prepared WITH durable_writes = true"},
		{"ALTER TABLE prepared.rows WITH gc_grace_seconds = 3600", "ALTER TABLE prepared.rows WITH gc_grace_seconds = 864000"},
		{"ALTER TABLE prepared.rows WITH default_time_to_live = 60", "ALTER TABLE prepared.rows WITH default_time_to_live = 0"},
		{"ALTER TABLE prepared.rows WITH read_repair = 'NONE'", "ALTER TABLE prepared.rows WITH read_repair = 'BLOCKING'"},
		{"INSERT INTO prepared.meta (name, value) VALUES ('format', 2)", "INSERT INTO prepared.meta (name, value) VALUES ('format', 1)"},
		{"INSERT INTO prepared.meta (name, value) VALUES ('replicas', 3)", "INSERT INTO prepared.meta (name, value) VALUES ('replicas', 1)"},
	} {
		for _, step := range []struct {
			cql    string
			broken bool
		}{{change.broken, true}, {change.mended, false}} {
			if err := s.session.Query(step.cql).Exec(); err != nil {
				t.Fatal(err)
			}
			conf.Metrics = prometheus.NewRegistry()
			opened, err := Open(t.Context(), conf)
			if (err != nil) != step.broken {
				t.Fatalf("after %s: %v", step.cql, err)
			}
			if err == nil {
				opened.Close()
			}
		}
	}
}

// erased is what docs/cluster.md promises: a deleted value is in no file once
// the nodes were told to collect it.
func erased(t *testing.T, c *engines.Cassandra) {
	s := prepared(t, config(t, c, "erased"), 1)
	defer s.Close()
	at, secret := store.Place{Table: "t", Partition: "p"}, []byte("the name of a person, "+fmt.Sprint(time.Now().UnixNano()))
	write := func(w store.Write) {
		t.Helper()
		if err := s.Write(t.Context(), at, w); err != nil {
			t.Fatal(err)
		}
	}
	tool := func(args ...string) {
		t.Helper()
		if _, err := c.Nodetool(t.Context(), c.Nodes[0], args...); err != nil {
			t.Fatal(err)
		}
	}
	// Compressed, a value is found only by luck.
	if err := s.session.Query("ALTER TABLE erased.rows WITH compression = {'enabled': false}").Exec(); err != nil {
		t.Fatal(err)
	}
	write(store.Write{Key: "k", Value: secret, Version: 1})
	tool("flush", "erased")
	if files := holding(t, filepath.Join(c.Nodes[0].Dir, "data"), secret); len(files) != 1 {
		t.Fatalf("before: %q", files)
	}
	write(store.Write{Key: "k", Version: 2, Delete: true})
	tool("flush", "erased")
	tool("garbagecollect", "-g", "CELL", "erased", "rows")
	if files := holding(t, filepath.Join(c.Nodes[0].Dir, "data"), secret); len(files) != 0 {
		t.Fatalf("after: %q", files)
	}
	if _, err := s.Get(t.Context(), at, "k"); err != store.ErrNotFound {
		t.Fatal(err)
	}
	write(store.Write{Key: "k", Value: []byte("late"), Version: 1})
	if _, err := s.Get(t.Context(), at, "k"); err != store.ErrNotFound {
		t.Fatalf("a late write came back: %v", err)
	}
}

// holding lists the files under dir that hold data.
func holding(t *testing.T, dir string, data []byte) (files []string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // removed meanwhile
		}
		if have, err := os.ReadFile(path); err == nil && bytes.Contains(have, data) {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clip(files)
}
