package index

import (
	"encoding/binary"
	"iter"
	"slices"
)

// Garbage is an arena, and what of it is in use: entries that were freed stay in
// it, and in its snapshots, until it pays to make a new one.
type Garbage struct {
	arena *Arena
	live  iter.Seq[Ref]
	after func() // when something was wiped; nil: nothing is to be done
}

// GarbageOf names an arena and yields all references to it.
func GarbageOf(a *Arena, live iter.Seq[Ref]) Garbage { return Garbage{arena: a, live: live} }

// Garbage returns the arenas of the index.
func (x *Index) Garbage() (all []Garbage) {
	for _, c := range x.columns {
		all = append(all, c.dict.garbage())
	}
	for _, s := range x.sets {
		all = append(all, s.dict.garbage(), GarbageOf(&s.arena, s.lists.each))
	}
	return all
}

func (d *dictionary) garbage() Garbage {
	return GarbageOf(&d.arena, func(yield func(Ref) bool) {
		for code, kind := range d.kinds {
			if (kind == Text || kind == URL) && !yield(Ref(d.values.At(uint32(code)))) {
				return
			}
		}
	})
}

// Garbage returns the arenas of the fields of events.
func (e *Events) Garbage() (all []Garbage) {
	for _, one := range e.names {
		for _, d := range one.days {
			if d.fields == nil {
				continue
			}
			for _, values := range d.fields.values {
				g := values.garbage()
				g.after = func() { d.sum = nil }
				all = append(all, g)
			}
		}
	}
	return all
}

// each yields all cells.
func (c *Cells[T]) each(yield func(T) bool) {
	for i := range c.chunks {
		for _, cell := range c.chunks[i].cells {
			if !yield(cell) {
				return
			}
		}
	}
}

// Refs yields the references of a column.
func Refs(c *Cells[Ref]) iter.Seq[Ref] { return c.each }

// Wiping is an arena whose garbage is being overwritten.
type Wiping struct {
	of     Garbage
	life   *byte
	chunks [][]byte   // as they were when it was looked at
	live   [][]uint64 // by chunk: a bit for each place of an entry that is in use
	clean  [][]byte   // by chunk; nil where there is nothing to wipe
}

// Look finds what is in use. Nobody may write meanwhile.
func (g Garbage) Look() *Wiping {
	w := &Wiping{of: g, life: g.arena.life}
	if g.arena.dead == 0 {
		return w
	}
	w.chunks = slices.Clone(g.arena.chunks)
	w.live = make([][]uint64, len(w.chunks))
	for i, chunk := range w.chunks {
		w.live[i] = make([]uint64, len(chunk)/4/64+1)
	}
	for ref := range g.live {
		if ref != 0 {
			w.live[ref>>16][(ref&0xffff)>>6] |= 1 << (ref & 63)
		}
	}
	return w
}

// Clean copies the chunks that hold garbage, without it. Others may read and
// write meanwhile: the bytes of an arena never change.
func (w *Wiping) Clean() {
	w.clean = make([][]byte, len(w.chunks))
	for i, chunk := range w.chunks {
		at := 0
		if i == 0 {
			at = 4 // keeps Ref 0 free
		}
		for at < len(chunk) {
			length, head := binary.Uvarint(chunk[at:])
			from, to := at+head, at+head+int(length)
			if used := w.live[i][at/4/64]>>(at/4&63)&1 != 0; !used && slices.ContainsFunc(chunk[from:to], func(b byte) bool { return b != 0 }) {
				if w.clean[i] == nil {
					w.clean[i] = append(make([]byte, 0, cap(chunk)), chunk...)
				}
				clear(w.clean[i][from:to])
			}
			at = (to + 3) &^ 3
		}
	}
}

// Place puts the copies in place, unless the arena was made anew meanwhile.
// Nobody may read or write.
func (w *Wiping) Place() {
	for i, clean := range w.clean {
		a := w.of.arena
		if clean == nil || a.life != w.life {
			continue
		}
		a.chunks[i], a.sums[i] = append(clean, a.chunks[i][len(clean):]...), nil
		if w.of.after != nil {
			w.of.after()
		}
	}
}
