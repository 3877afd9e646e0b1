package snapshottest

import (
	"context"
	"errors"

	"github.com/tocsin-push/tocsin/snapshot"
)

func (k *kit) appears() {
	files := k.take(here)
	var kept []snapshot.ID
	for n, size := range []int{0, 1, 1000, 256<<10 - 1, 256 << 10, 256<<10 + 1, 3<<20 + 7, 17 << 20} {
		id := snapshot.ID{Position: uint64(n + 1)}
		d := k.draft(files, id, content(n, size))
		k.list(files, kept...)
		k.done(d, content(n, size))
		k.list(files, kept...)
		k.must(d.Keep())
		kept = append([]snapshot.ID{id}, kept...)
		k.list(files, kept...)
		k.has(files, id, content(n, size))
	}
	k.restart()
	files = k.take(here)
	k.list(files, kept...)
	k.has(files, kept[0], content(7, 17<<20))
	k.has(files, kept[6], content(1, 1))
}

func (k *kit) drafts() {
	files := k.take(here)
	id := snapshot.ID{Position: 7}
	k.must(k.draft(files, id, content(1, 5000)).Drop())
	k.list(files)
	d := k.draft(files, id, content(2, 600_000))
	k.done(d, content(2, 600_000))
	k.must(d.Drop())
	k.list(files)
	k.draft(files, id, content(3, 1_000_000)) // its process ends
	k.restart()
	files = k.take(here)
	k.list(files)
	k.keep(files, id, content(4, 10))
	k.must(files.Remove(k.t.Context()))
	k.has(files, id, content(4, 10))
	k.restart()
	k.has(k.take(here), id, content(4, 10))
}

func (k *kit) names() {
	files := k.take(here)
	for _, id := range []snapshot.ID{{Position: 5}, {Position: 9}, {Position: 5, Again: 10}, {Position: 5, Again: 2}, {Position: 1 << 60}} {
		k.keep(files, id, content(int(id.Position), 100))
	}
	k.list(files, snapshot.ID{Position: 1 << 60}, snapshot.ID{Position: 9}, snapshot.ID{Position: 5, Again: 10}, snapshot.ID{Position: 5, Again: 2}, snapshot.ID{Position: 5})
	for range 2 {
		k.must(files.Remove(k.t.Context(), snapshot.ID{Position: 5, Again: 2}, snapshot.ID{Position: 9}, snapshot.ID{Position: 33}))
		k.list(files, snapshot.ID{Position: 1 << 60}, snapshot.ID{Position: 5, Again: 10}, snapshot.ID{Position: 5})
		k.restart()
		files = k.take(here)
	}
	if f, err := files.Open(k.t.Context(), snapshot.ID{Position: 9}); !errors.Is(err, snapshot.ErrDamaged) {
		k.t.Errorf("a file that was removed is %v, %v", f, err)
	}
	seen := map[string]bool{}
	for _, id := range []snapshot.ID{{Position: 5}, {Position: 5, Again: 10}} {
		k.has(files, id, content(5, 100))
		seen[files.Name(id)] = true
	}
	if len(seen) != 2 {
		k.t.Errorf("two files have the names %v", seen)
	}
}

func (k *kit) separate() {
	one, two := k.take(here), k.take(here+1)
	id := snapshot.ID{Position: 1}
	k.keep(one, id, content(1, 10))
	k.list(two)
	k.keep(two, id, content(2, 20))
	k.must(one.Remove(k.t.Context(), id))
	k.list(one)
	k.list(two, id)
	k.has(two, id, content(2, 20))
}

// An owner that does not know that it is none any more neither adds nor takes away
// anything, and what it writes is in nobody's file.
func (k *kit) superseded() {
	first := k.take(here)
	old, id := snapshot.ID{Position: 1}, snapshot.ID{Position: 2}
	k.keep(first, old, content(1, 1000))
	draft, size := k.draft(first, id, content(2, 300_000)), 300_000
	second := k.take(here)
	k.list(second, old)
	another := k.draft(second, id, content(3, 600_000))
	if _, err := draft.Write(content(2, 400_000)); err != nil && !errors.Is(err, snapshot.ErrSuperseded) {
		k.t.Errorf("to write a draft on: %v", err)
	} else if err == nil {
		size += 400_000
	}
	if f, err := draft.Done(); err == nil {
		k.must(f.Close())
		if err = draft.Keep(); !errors.Is(err, snapshot.ErrSuperseded) {
			k.t.Errorf("%d bytes were kept: %v", size, err)
		}
	} else if !errors.Is(err, snapshot.ErrSuperseded) {
		k.t.Errorf("to end the draft: %v", err)
	}
	k.must(draft.Drop())
	if err := first.Remove(k.t.Context(), old); !errors.Is(err, snapshot.ErrSuperseded) {
		k.t.Errorf("a file was removed: %v", err)
	}
	if d, err := first.Create(k.t.Context(), snapshot.ID{Position: 9}); !errors.Is(err, snapshot.ErrSuperseded) {
		k.t.Errorf("a file was begun: %v, %v", d, err)
	}
	k.done(another, content(3, 600_000))
	k.must(another.Keep())
	k.must(second.Remove(k.t.Context()))
	k.list(second, id, old)
	k.has(second, id, content(3, 600_000))
	k.has(second, old, content(1, 1000))

	third := k.take(here)
	if err := second.Remove(k.t.Context(), old); !errors.Is(err, snapshot.ErrSuperseded) {
		k.t.Errorf("a file was removed: %v", err)
	}
	k.list(third, id, old)
	k.must(third.Remove(k.t.Context(), old))
	k.list(third, id)
}

func (k *kit) cancelled() {
	files := k.take(here)
	ctx, cancel := context.WithCancel(k.t.Context())
	d, err := files.Create(ctx, snapshot.ID{Position: 1})
	k.must(err)
	_, err = d.Write(content(1, 1000))
	k.must(err)
	cancel()
	if _, err := d.Write(content(1, 2<<20)); !errors.Is(err, context.Canceled) {
		k.t.Errorf("it was written on: %v", err)
	}
	k.must(d.Drop())
	k.list(files)
	k.keep(files, snapshot.ID{Position: 1}, content(5, 500))
}
