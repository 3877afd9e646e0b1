package node_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// A node that finds a table damaged says so, takes no new work, and neither
// repeats itself in its log nor prints stacks there.
func TestSaysThatItsStoreIsDamaged(t *testing.T) {
	t.Parallel()
	town := newTown(t, nil)
	for range 50 { // rows that nothing but the API reads
		if _, err := town.api.OpenImport(t.Context(), client.ImportRequest{Name: strings.Repeat("x", 100), Format: client.NDJSON}); err != nil {
			t.Fatal(err)
		}
	}
	town.stop()
	town.start() // with the rows in tables
	if status, text := town.readyz(); status != http.StatusOK {
		t.Fatalf("a sound node: %d %s", status, text)
	}
	tables, err := filepath.Glob(filepath.Join(town.config.Dir, "store", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	for _, table := range tables {
		spoil(t, table)
	}
	once, err := client.New(client.Config{URL: town.url, Key: town.project.Key, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := once.Imports(t.Context(), tocsin.ImportID{}, 100); err == nil {
			t.Fatal("damaged rows were read")
		}
	}
	status, text := town.readyz()
	if status != http.StatusServiceUnavailable || !strings.Contains(text, ".sst is damaged") || !strings.Contains(text, filepath.Join(town.config.Dir, "store")) {
		t.Errorf("%d %s", status, text)
	}
	if _, err := once.Send(t.Context(), client.SendRequest{Target: everybody(), Message: message()}, ""); err == nil ||
		!strings.Contains(err.Error(), "storage is damaged") {
		t.Errorf("a send: %v", err)
	}
	log := town.log.String()
	if n := strings.Count(log, "a file is damaged"); n != 1 {
		t.Errorf("said %d times", n)
	}
	if strings.Contains(log, ".go:") {
		t.Errorf("the log holds stacks")
	}
}

// spoil changes a table's blocks of rows in place: those read already are kept
// in memory, and its index is.
func spoil(t *testing.T, table string) {
	t.Helper()
	f, err := os.OpenFile(table, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	for at := int64(0); at < info.Size()*3/4; at += 64 {
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0xff
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
	}
}

func (t *town) readyz() (int, string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		answer, err := http.Get(t.url + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "audience is being read") || time.Now().After(deadline) {
			return answer.StatusCode, string(text)
		}
	}
}
