package rows

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

// fault is how an operation of the store fails.
type fault string

const (
	refused fault = "refused"            // it does nothing
	lost    fault = "its answer lost"    // it takes place, and says that it did not
	dead    fault = "refused ever after" // as when the process ends there
)

// faulty is a store of which the nth operation fails, counted from 1 on. It
// remembers where pieces were written.
type faulty struct {
	store.Store
	kind       fault
	fail       int
	mu         sync.Mutex
	count      int
	partitions []store.Place
}

var errFault = errors.New("it fails")

// fails tells what becomes of the next operation.
func (f *faulty) fails() (does, answers bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if hit := f.fail > 0 && (f.count == f.fail || f.kind == dead && f.count > f.fail); hit {
		return f.kind == lost, false
	}
	return true, true
}

func (f *faulty) Get(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if _, ok := f.fails(); !ok {
		return store.Row{}, errFault
	}
	return f.Store.Get(ctx, at, key)
}

func (f *faulty) GetLatest(ctx context.Context, at store.Place, key string) (store.Row, error) {
	if _, ok := f.fails(); !ok {
		return store.Row{}, errFault
	}
	return f.Store.GetLatest(ctx, at, key)
}

func (f *faulty) Scan(ctx context.Context, at store.Place, from, to string, limit int) ([]store.Row, error) {
	if _, ok := f.fails(); !ok {
		return nil, errFault
	}
	return f.Store.Scan(ctx, at, from, to, limit)
}

func (f *faulty) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	does, answers := f.fails()
	if does {
		f.mu.Lock()
		if !slices.Contains(f.partitions, at) {
			f.partitions = append(f.partitions, at)
		}
		f.mu.Unlock()
		if err := f.Store.Write(ctx, at, batch...); err != nil {
			return err
		}
	}
	if !answers {
		return errFault
	}
	return nil
}

func (f *faulty) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (ok bool, now store.Row, err error) {
	does, answers := f.fails()
	if does {
		if ok, now, err = f.Store.PutIf(ctx, at, key, old, value, expires); err != nil {
			return ok, now, err
		}
	}
	if !answers {
		return false, store.Row{}, store.ErrAmbiguous
	}
	return ok, now, nil
}

// moment is a number, which changes one of many parts.
type moment struct {
	position uint64
	parts    []part
}

type part string

func (p part) Content() []byte                 { return []byte(p) }
func (p part) ID() [16]byte                    { sum := sha256.Sum256([]byte(p)); return [16]byte(sum[:]) }
func (m *moment) Position() uint64             { return m.position }
func (m *moment) Seen() record.Seen            { return record.Seen{1: m.position} }
func (m *moment) Projects() []tocsin.ProjectID { return []tocsin.ProjectID{{1}} }
func (m *moment) End() time.Duration           { return 0 }
func (m *moment) Take(tocsin.ProjectID) ([]snapshot.Stream, func()) {
	s := snapshot.Stream{Name: "s"}
	for _, p := range m.parts {
		s.Parts = append(s.Parts, p)
	}
	return []snapshot.Stream{s}, func() {}
}

func at(position uint64) *moment {
	m := &moment{position: position}
	for n := range uint64(8) {
		m.parts = append(m.parts, part(strings.Repeat(fmt.Sprint(n, " "), 100_000)))
	}
	m.parts[position%8] += part(fmt.Sprint("at ", position))
	return m
}

func open(t *testing.T, s store.Store) (kept *snapshot.Kept, found uint64, err error) {
	t.Helper()
	keeper, err := snapshot.New("kit", engineOn(t, s), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	kept, err = keeper.Open(t.Context(), 3, slog.New(slog.DiscardHandler), func(saved *snapshot.Saved) error {
		want := at(saved.ID.Position)
		for i, place := range saved.Projects[0].Streams[0].Parts {
			b := make([]byte, place.Length)
			if err := saved.Read(place, b); err != nil {
				return err
			}
			if string(b) != string(want.parts[i]) {
				t.Errorf("part %d of %d is another one", i, saved.ID.Position)
			}
		}
		found = saved.ID.Position
		return nil
	})
	return kept, found, err
}

// Any operation of the store may fail, take place without saying so, or be the last
// of its process: what was kept is there, the same owner goes on and so does the
// next one, and no piece stays that nobody needs.
func TestFailureOfEveryOperation(t *testing.T) {
	failures := 0
	for _, kind := range []fault{refused, lost, dead} {
		for fail := 1; ; fail++ {
			s := &faulty{Store: mem.New(time.Now), kind: kind}
			kept, _, err := open(t, s)
			for position := uint64(1); err == nil && position < 5; position++ {
				_, err = kept.Save(t.Context(), func() snapshot.Moment { return at(position) }, false)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.count, s.fail = 0, fail
			_, failed := kept.Save(t.Context(), func() snapshot.Moment { return at(5) }, false)
			operations := s.count
			what := fmt.Sprintf("operation %d %s (%v)", fail, kind, failed)
			if failed != nil {
				failures++
			}
			position := uint64(6)
			if kind != dead { // the same owner goes on
				s.fail = 0
				if _, err := kept.Save(t.Context(), func() snapshot.Moment { return at(position) }, false); err != nil {
					t.Fatalf("%s: the next fails too: %v", what, err)
				}
				position++
			}
			s.fail = 0
			again, found, err := open(t, s)
			switch {
			case err != nil:
				t.Fatalf("%s: %v", what, err)
			case kind != dead && found != 6, kind == dead && failed == nil && found != 5, found < 4:
				t.Fatalf("%s: there is a snapshot of %d", what, found)
			}
			for range 2 {
				if _, err := again.Save(t.Context(), func() snapshot.Moment { return at(position) }, false); err != nil {
					t.Fatalf("%s: the next owner: %v", what, err)
				}
				position++
			}
			clean(t, s, what)
			if operations < fail {
				break
			}
		}
	}
	if failures < 20 {
		t.Errorf("only %d operations failed", failures)
	}
}

// clean fails when there are pieces that no file has.
func clean(t *testing.T, s *faulty, what string) {
	t.Helper()
	f := named(t, s, 3)
	if len(f.names.Gone) > 0 || f.names.Draft != nil {
		t.Errorf("%s: %v is not deleted, %v not kept", what, f.names.Gone, f.names.Draft)
	}
	for _, place := range s.partitions {
		if place.Table != Pieces || slices.ContainsFunc(f.names.Files, func(f *record.SnapshotFile) bool { return strings.HasPrefix(place.Partition, stem(3, f.Name)+"/") }) {
			continue
		}
		if rows, err := s.Scan(t.Context(), place, "", "", 1); err != nil || len(rows) > 0 {
			t.Errorf("%s: there are pieces in %s, %v", what, place.Partition, err)
		}
	}
}

// What an owner of before writes too late into its draft is deleted with the rest,
// wherever it stopped, and also when the deletion is begun twice.
func TestLatePiecesAreDeleted(t *testing.T) {
	for _, pieces := range []int{1, together - 1, together, together + 1, 2*together + 5} {
		s := &faulty{Store: mem.New(time.Now), kind: refused}
		old, err := engineOn(t, s).Take(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		draft, err := old.Create(t.Context(), snapshot.ID{Position: 1})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := draft.Write(make([]byte, pieces*pieceSize)); err != nil {
			t.Fatal(err)
		}
		next, err := engineOn(t, s).Take(t.Context(), 3)
		if err != nil {
			t.Fatal(err)
		}
		s.count, s.fail = 0, 4 // in mid-deletion
		if err := next.Remove(t.Context()); pieces >= together && !errors.Is(err, snapshot.ErrUnavailable) {
			t.Errorf("%d pieces: %v", pieces, err)
		}
		s.fail = 0
		if err := next.Remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, err = draft.Write(make([]byte, 3*together*pieceSize))
		if !errors.Is(err, snapshot.ErrSuperseded) {
			t.Errorf("%d pieces: it wrote on: %v", pieces, err)
		}
		clean(t, s, fmt.Sprint(pieces, " pieces"))
	}
}
