package snapshottest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tocsin-push/tocsin/snapshot"
)

// A part is written once, and again only when it has changed; the two snapshots
// that are kept have no byte in common.
func (k *kit) shared() {
	kept, _, _ := k.open()
	s := newState()
	for n := range 40 {
		s = s.with(1, "a", n, fmt.Sprint("part ", n))
	}
	for n := range 20 {
		s = s.with(1, "b", 0, fmt.Sprint("changed ", n))
		if below := k.save(kept, s); n > 0 && below != s.position-1 {
			k.t.Errorf("the log is to be trimmed below %d, want %d", below, s.position-1)
		}
		if k.save(kept, s) != 0 {
			k.t.Errorf("two snapshots were made of one position")
		}
		if n < 2 {
			continue
		}
		own := 0
		kept.Good()[0].Each(func(at snapshot.Place) {
			if at.File == 0 {
				own++
			}
		})
		if own != 1 || !kept.Good()[0].Apart(kept.Good()[1]) {
			k.t.Errorf("snapshot %d wrote %d parts anew, in files %v; before it is %v", n, own, kept.Good()[0].Files, kept.Good()[1].Files)
		}
	}
	_, found, said := k.open()
	if !s.equal(found) || strings.Contains(said, "falling back") {
		k.t.Errorf("it is %v, want %v: %s", found, s, said)
	}
}

// Of a file of which little is needed nothing is shared, and the files of a
// snapshot are few: what is stored is a small multiple of what is needed.
func (k *kit) few() {
	seed := rand.Uint64()
	k.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	kept, _, _ := k.open()
	s := newState()
	most, many := 0.0, 0
	for n := range 200 {
		// Some parts change all the time, some seldom, and new ones come.
		s = s.with(1, fmt.Sprint("stream ", min(n/4, random.IntN(60))), 0, strings.Repeat(fmt.Sprint(n), 50))
		k.save(kept, s)
		var stored, needed uint64 // but for the lists of parts, which are large here
		ids := map[snapshot.ID]bool{}
		for _, m := range kept.Good() {
			for _, file := range m.Files {
				stored += file.Size
				ids[file.ID] = true
			}
			m.Each(func(at snapshot.Place) { needed += at.Length })
		}
		many = max(many, len(ids))
		if n > 10 {
			most = max(most, float64(stored)/float64(needed))
		}
	}
	k.t.Logf("at most %d files, and %.1f times what is needed", many, most)
	if many > 2*17 || most > 2.5 {
		k.t.Errorf("there were %d files, and %.1f times what was needed", many, most)
	}
	files := k.take(here)
	ids, err := files.List()
	k.must(err)
	needed := map[snapshot.ID]bool{}
	for _, m := range kept.Good() {
		for _, file := range m.Files {
			if needed[file.ID] = true; !slices.Contains(ids, file.ID) {
				k.t.Errorf("%v is not there", file)
			}
		}
	}
	if len(ids) != len(needed) {
		k.t.Errorf("there are %d files, %d are needed", len(ids), len(needed))
	}
}

// chain makes snapshots that share parts with older ones, and returns the two that
// are kept, the newest first.
func (k *kit) chain() (good [2]*snapshot.Manifest, states [2]*state) {
	k.t.Helper()
	kept, _, _ := k.open()
	s := newState()
	for n := range 8 {
		s = s.with(1, "a", n, fmt.Sprint("part ", n)).with(2, "b", n, fmt.Sprint("of another project ", n))
	}
	for n := range 5 {
		s = s.with(1, "a", n, fmt.Sprint("changed ", n))
		states[1], states[0] = states[0], s
		k.save(kept, s)
	}
	good = [2]*snapshot.Manifest(kept.Good())
	if len(good[0].Files) < 2 || len(good[1].Files) < 2 || !good[0].Apart(good[1]) {
		k.t.Fatalf("want two snapshots of several files each, have %v and %v", good[0].Files, good[1].Files)
	}
	return good, states
}

// Damage to any part of the newest snapshot, in whichever file, to its list or
// its end, falls back to the one before and names the file.
func (k *kit) damage() {
	seed := rand.Uint64()
	k.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	good, states := k.chain()
	type spot struct {
		file snapshot.PartFile
		at   uint64
	}
	own := good[0].Files[0]
	spots := []spot{{own, 0}, {own, own.Size}, {own, own.Size + 30}}
	good[0].Each(func(at snapshot.Place) {
		spots = append(spots, spot{good[0].Files[at.File], at.Offset + uint64(random.Int64N(int64(at.Length)))})
	})
	for _, s := range spots {
		for kind, damage := range map[string]func([]byte) []byte{
			"flipped": func(b []byte) []byte { b[s.at] ^= 1 << random.IntN(8); return b },
			"torn":    func(b []byte) []byte { return b[:s.at] },
			"gone":    func([]byte) []byte { return nil },
		} {
			var healthy []byte
			k.engine.Alter(here, s.file.ID, func(b []byte) []byte {
				healthy = slices.Clone(b)
				return damage(b)
			})
			k.restart()
			name := k.take(here).Name(s.file.ID)
			kept, found, said := k.open()
			if !strings.Contains(said, "falling back") || !strings.Contains(said, name) {
				k.t.Errorf("%s at %d of %s: it was taken, or the log does not name the file: %s", kind, s.at, name, said)
			} else if !states[1].equal(found) || kept.Good()[0].ID != good[1].ID {
				k.t.Errorf("%s at %d of %s: it did not fall back to the one before", kind, s.at, name)
			}
			k.engine.Alter(here, s.file.ID, func([]byte) []byte { return healthy })
		}
	}
	if _, found, said := k.open(); !states[0].equal(found) || strings.Contains(said, "falling back") {
		k.t.Errorf("healed it is not what it was: %s", said)
	}
}

// A snapshot that shares parts with one that this process has not read looks at
// them first, and writes those again that are damaged.
func (k *kit) rot() {
	_, states := k.chain()
	s := states[0]
	for n := range 8 {
		k.restart()
		kept, _, _ := k.open()
		ids, err := k.take(here).List()
		k.must(err)
		older := ids[1] // the next one builds upon it
		k.engine.Alter(here, older, func(b []byte) []byte {
			for i := len("tocsin kit 3\n"); i < len(b)-24 && i < 40; i++ {
				b[i] ^= 1
			}
			return b
		})
		kept, _, _ = k.open()
		s = s.with(2, "b", n, fmt.Sprint("after ", n))
		k.save(kept, s)
		k.restart()
		if _, found, said := k.open(); !s.equal(found) || strings.Contains(said, "falling back") {
			k.t.Fatalf("a snapshot was made of a damaged part: %s", said)
		}
	}
}
