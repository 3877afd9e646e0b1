package snapshottest

import (
	"errors"
	"log/slog"
	"math/rand/v2"

	"github.com/tocsin-push/tocsin/snapshot"
)

// owner is somebody who has, or believes to have, the shard: it has applied the log
// up to its state.
type owner struct {
	kept  *snapshot.Kept
	state *state
}

// Several that each believe to be the owner follow one log, fall behind, wake up
// and make snapshots. Whoever takes over, also after damage to one of the two that
// are kept, finds one that is as the log was, and reaches what is left of the log.
func (k *kit) owners() {
	seed := rand.Uint64()
	k.t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	log := []*state{newState()} // by position, from 1 on
	at := func(position uint64) *state { return log[position-1] }
	var owners []*owner
	var last []*snapshot.Manifest // the two that were kept last
	var trimmed uint64            // the log begins here
	saved, refused, fell := 0, 0, 0
	for range 600 {
		switch what := random.IntN(10); {
		case what < 4:
			log = append(log, log[len(log)-1].drawn(random))
		case what < 8 && len(owners) > 0:
			o := owners[random.IntN(len(owners))]
			o.state = at(o.state.position + uint64(random.Int64N(int64(uint64(len(log))-o.state.position+1))))
			below, err := o.kept.Save(k.t.Context(), o.state.moment, random.IntN(10) == 0)
			if errors.Is(err, snapshot.ErrSuperseded) {
				refused++
				break
			}
			k.must(err)
			saved++
			trimmed = max(trimmed, below)
			if below > 0 {
				if last = o.kept.Good(); !last[0].Apart(last[1]) {
					k.t.Fatalf("the two that are kept share a file: %v, %v", last[0].Files, last[1].Files)
				}
			}
		case what == 8 && len(owners) > 1:
			owners = append(owners[:0], owners[1:]...) // it is dead
		default:
			var heal func()
			if len(last) > 0 && random.IntN(2) == 0 {
				file := last[0].Files[random.IntN(len(last[0].Files))].ID
				var healthy []byte
				k.engine.Alter(here, file, func(b []byte) []byte {
					healthy = append([]byte(nil), b...)
					b[random.IntN(len(b))] ^= 1 << random.IntN(8)
					return b
				})
				heal = func() { k.engine.Alter(here, file, func([]byte) []byte { return healthy }) }
				fell++
			}
			o := &owner{state: log[0]}
			kept, err := k.keeper().Open(k.t.Context(), here, slog.New(slog.DiscardHandler), func(s *snapshot.Saved) error {
				found, err := read(s)
				if err == nil && !at(s.ID.Position).equal(found) {
					k.t.Fatalf("the snapshot of %d is %v, want %v", s.ID.Position, found, at(s.ID.Position))
				}
				if err == nil {
					o.state = found
				}
				return err
			})
			k.must(err)
			o.kept = kept
			if o.state.position < trimmed {
				k.t.Fatalf("the log begins at %d, the newest good snapshot is of %d", trimmed, o.state.position)
			}
			if heal == nil && len(last) > 0 && o.state.position < last[0].ID.Position {
				k.t.Fatalf("a snapshot of %d was made, the newest is of %d", last[0].ID.Position, o.state.position)
			}
			if heal != nil {
				heal()
			}
			if owners = append(owners, o); len(owners) > 4 {
				owners = owners[1:]
			}
		}
	}
	k.t.Logf("%d snapshots, %d refused, %d damaged, the log begins at %d of %d", saved, refused, fell, trimmed, len(log))
	if saved < 50 || refused < 10 || fell < 5 || trimmed < 50 {
		k.t.Error("it tells nothing")
	}
}
