package audience

import (
	"hash/maphash"

	"github.com/tocsin-push/tocsin/index"
)

// waiting are keys of lists that nobody has yet, each once. Lists name them by
// their place. What no list names any more stays until it is most of all.
type waiting struct {
	keys  index.Cells[[16]byte] // zero: it was erased
	table index.Table
}

func (w *waiting) hash(p *project, key [16]byte) uint64 { return maphash.Bytes(p.seed, key[:]) }

func (w *waiting) hashOf(p *project) func(place uint32) uint64 {
	return func(place uint32) uint64 { return w.hash(p, w.keys.At(place)) }
}

func (w *waiting) find(p *project, key [16]byte) (place uint32, ok bool) {
	if w.keys.Len() == 0 {
		return 0, false
	}
	return w.table.Find(w.hash(p, key), func(place uint32) bool { return w.keys.At(place) == key })
}

// place finds a key, or takes it in.
func (w *waiting) place(p *project, key [16]byte) uint32 {
	place, ok := w.find(p, key)
	if !ok {
		place = uint32(w.keys.Len())
		w.keys.Append(key)
		w.table.Insert(w.hash(p, key), place, w.hashOf(p))
	}
	return place
}

// erase takes a key out, and out of all lists.
func (w *waiting) erase(p *project, key [16]byte, all []*list, of func(*list) *entries) {
	at, waits := w.find(p, key)
	if !waits {
		return
	}
	for _, l := range all {
		of(l).waiting.Remove(at)
	}
	w.table.Delete(w.hash(p, key), at, w.hashOf(p))
	w.keys.Set(at, [16]byte{})
}

// leastSwept is how few keys are not worth looking through.
const leastSwept = 1 << 10

// sweep drops the keys that no list names once they are three of four, and gives
// the others new places.
func (w *waiting) sweep(p *project, all []*list, of func(*list) *entries) {
	named := 0
	for _, l := range all {
		named += of(l).waiting.Len()
	}
	if w.keys.Len() < leastSwept || named > w.keys.Len()/4 {
		return
	}
	const gone = ^uint32(0)
	places := make([]uint32, w.keys.Len())
	for i := range places {
		places[i] = gone
	}
	for _, l := range all {
		for at := range of(l).waiting.All() {
			places[at] = 0
		}
	}
	var kept waiting
	for at, place := range places {
		if place != gone {
			places[at] = kept.place(p, w.keys.At(uint32(at)))
		}
	}
	for _, l := range all {
		moved := new(index.Rows)
		for at := range of(l).waiting.All() {
			moved.Add(places[at])
		}
		of(l).waiting = moved
	}
	*w = kept
}

func (w *waiting) size() int { return w.keys.Size() + w.table.Size() }
