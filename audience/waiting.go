package audience

import (
	"hash/maphash"

	"github.com/tocsin-push/tocsin/index"
)

// waiting are keys of lists that nobody has yet, each once. Lists name them by
// their place. What no list names any more stays until it is most of all.
type waiting struct {
	keys  [][16]byte
	table index.Table
}

func (w *waiting) hash(p *project, key *[16]byte) uint64 { return maphash.Bytes(p.seed, key[:]) }

func (w *waiting) find(p *project, key [16]byte) (place uint32, ok bool) {
	if len(w.keys) == 0 {
		return 0, false
	}
	return w.table.Find(w.hash(p, &key), func(n uint32) bool { return w.keys[n] == key })
}

// place finds a key, or takes it in.
func (w *waiting) place(p *project, key [16]byte) uint32 {
	place, ok := w.find(p, key)
	if !ok {
		place = uint32(len(w.keys))
		w.keys = append(w.keys, key)
		w.insert(p, place)
	}
	return place
}

func (w *waiting) insert(p *project, place uint32) {
	w.table.Insert(w.hash(p, &w.keys[place]), place, func(n uint32) uint64 { return w.hash(p, &w.keys[n]) })
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
	if len(w.keys) < leastSwept || named > len(w.keys)/4 {
		return
	}
	const gone = ^uint32(0)
	places := make([]uint32, len(w.keys))
	for i := range places {
		places[i] = gone
	}
	for _, l := range all {
		for at := range of(l).waiting.All() {
			places[at] = 0
		}
	}
	var kept waiting
	for at, key := range w.keys {
		if places[at] != gone {
			places[at] = uint32(len(kept.keys))
			kept.keys = append(kept.keys, key)
			kept.insert(p, places[at])
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

func (w *waiting) size() int { return 16*cap(w.keys) + w.table.Size() }
