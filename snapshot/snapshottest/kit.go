package snapshottest

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/snapshot"
)

// Engine is a fresh, empty one under test.
type Engine struct {
	snapshot.Engine
	// Reopen returns the same files as the next process finds them. The engines
	// before are not used any more.
	Reopen func() snapshot.Engine
	// Alter changes the content of a file where it lies, behind the engine's back;
	// nil is no content at all.
	Alter func(shard tocsin.Shard, id snapshot.ID, change func([]byte) []byte)
}

// Run checks engines that open makes.
func Run(t *testing.T, open func(t *testing.T) Engine) {
	for _, c := range []struct {
		name string
		run  func(k *kit)
	}{
		{"a file appears when it is kept", (*kit).appears},
		{"what is not kept leaves nothing", (*kit).drafts},
		{"names are in order, and removed for good", (*kit).names},
		{"shards are separate", (*kit).separate},
		{"who took last has the files", (*kit).superseded},
		{"a context ends what is under way", (*kit).cancelled},
		{"what did not change is shared", (*kit).shared},
		{"files are few and mostly needed", (*kit).few},
		{"damage to any part falls back", (*kit).damage},
		{"rot is not built upon", (*kit).rot},
		{"two owners at once", (*kit).owners},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(&kit{t: t, engine: open(t)}) })
	}
}

const here tocsin.Shard = 3

type kit struct {
	t      *testing.T
	engine Engine
}

func (k *kit) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) take(shard tocsin.Shard) snapshot.Files {
	k.t.Helper()
	files, err := k.engine.Take(k.t.Context(), shard)
	k.must(err)
	return files
}

// restart has the files as the next process finds them.
func (k *kit) restart() { k.engine.Engine = k.engine.Reopen() }

func (k *kit) list(files snapshot.Files, want ...snapshot.ID) {
	k.t.Helper()
	if have, err := files.List(); err != nil || !slices.Equal(have, want) {
		k.t.Fatalf("there are %v, %v, want %v", have, err, want)
	}
}

// content is so many bytes, other ones for another seed.
func content(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(seed + i + i>>8 + i>>16)
	}
	return b
}

// draft writes a file, in pieces of several sizes, and does not keep it.
func (k *kit) draft(files snapshot.Files, id snapshot.ID, b []byte) snapshot.Draft {
	k.t.Helper()
	d, err := files.Create(k.t.Context(), id)
	k.must(err)
	for n := 1; len(b) > 0; n = min(n*3, 1<<20) {
		piece := bytes.Clone(b[:min(n, len(b))])
		_, err := d.Write(piece)
		k.must(err)
		clear(piece) // nothing is kept of it
		b = b[min(n, len(b)):]
	}
	return d
}

func (k *kit) keep(files snapshot.Files, id snapshot.ID, b []byte) {
	k.t.Helper()
	d := k.draft(files, id, b)
	k.done(d, b)
	k.must(d.Keep())
	k.must(d.Drop()) // it is kept
}

// done ends a draft and reads it back.
func (k *kit) done(d snapshot.Draft, want []byte) {
	k.t.Helper()
	f, err := d.Done()
	k.must(err)
	k.holds(f, want)
}

func (k *kit) holds(f snapshot.File, want []byte) {
	k.t.Helper()
	if f.Size() != uint64(len(want)) {
		k.t.Fatalf("it has %d bytes, want %d", f.Size(), len(want))
	}
	for _, span := range [][2]int{{0, len(want)}, {0, 1}, {len(want) - 1, len(want)}, {len(want) / 3, len(want) / 2}, {len(want) / 2, len(want)/2 + 300_000}} {
		from, to := max(0, span[0]), min(len(want), span[1])
		have := make([]byte, max(0, to-from))
		if n, err := f.ReadAt(have, int64(from)); n != len(have) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(have, want[from:to]) {
			k.t.Fatalf("bytes %d to %d of %d: %d were read, %v", from, to, len(want), n, err)
		}
	}
	if len(want) >= 5 {
		if n, err := f.ReadAt(make([]byte, 10), int64(len(want))-5); n != 5 || !errors.Is(err, io.EOF) {
			k.t.Fatalf("over the end: %d bytes, %v", n, err)
		}
	}
	k.must(f.Close())
}

func (k *kit) has(files snapshot.Files, id snapshot.ID, want []byte) {
	k.t.Helper()
	f, err := files.Open(k.t.Context(), id)
	k.must(err)
	k.holds(f, want)
}

// keeper is what a process has.
func (k *kit) keeper() *snapshot.Keeper {
	k.t.Helper()
	keeper, err := snapshot.New("kit", k.engine, prometheus.NewRegistry())
	k.must(err)
	return keeper
}

// open opens the snapshots of the shard, and returns the state of the newest good
// one and what was said.
func (k *kit) open() (*snapshot.Kept, *state, string) {
	k.t.Helper()
	var found *state
	var said bytes.Buffer
	kept, err := k.keeper().Open(k.t.Context(), here, slog.New(slog.NewTextHandler(&said, nil)), func(s *snapshot.Saved) (err error) {
		found, err = read(s)
		return err
	})
	k.must(err)
	return kept, found, said.String()
}

// save makes a snapshot of a state.
func (k *kit) save(kept *snapshot.Kept, s *state) (below uint64) {
	k.t.Helper()
	below, err := kept.Save(k.t.Context(), s.moment, false)
	k.must(err)
	return below
}
