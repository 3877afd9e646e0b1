package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// random plays drawn calls on one partition beside a plain model.
func (k *kit) random() {
	seed := uint64(time.Now().UnixNano())
	k.t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	type state struct {
		value   string
		version uint64
		deleted bool
	}
	plain, conditional := map[string]state{}, map[string]string{}
	for step := range 500 {
		value := fmt.Sprintf("step %d", step)
		switch n := r.IntN(100); {
		case n < 45:
			var batch []store.Write
			for range 1 + r.IntN(4) {
				// One version of a row means one value.
				w := store.Write{Key: fmt.Sprintf("k%02d", r.IntN(20)), Version: 1 + uint64(step/2+r.IntN(40))}
				w.Value, w.Delete = fmt.Appendf(nil, "%s at %d", w.Key, w.Version), w.Version%5 == 0
				batch = append(batch, w)
				if old, ok := plain[w.Key]; !ok || w.Version > old.version {
					plain[w.Key] = state{string(w.Value), w.Version, w.Delete}
				}
			}
			k.write(here, batch...)
		case n < 70:
			key := fmt.Sprintf("p%d", r.IntN(5))
			stored, present := conditional[key]
			var old, next []byte
			if present == (r.IntN(4) > 0) {
				old = []byte(stored)
			}
			if r.IntN(4) > 0 {
				next = []byte(value)
			}
			right := present == (old != nil)
			if k.putIf(key, old, next, time.Time{}) != right {
				k.t.Fatalf("step %d: PutIf(%q, %q) with %q present %v", step, key, old, stored, present)
			}
			if right && next != nil {
				conditional[key] = value
			} else if right {
				delete(conditional, key)
			}
		case n < 72:
			k.restart()
		default:
			var want []store.Row
			for key, s := range plain {
				if !s.deleted {
					want = append(want, store.Row{Key: key, Value: []byte(s.value), Version: s.version})
				}
			}
			for key, value := range conditional {
				want = append(want, store.Row{Key: key, Value: []byte(value)})
			}
			slices.SortFunc(want, func(a, b store.Row) int {
				if a.Key < b.Key {
					return -1
				}
				return 1
			})
			same := func(a, b store.Row) bool {
				return a.Key == b.Key && string(a.Value) == string(b.Value) && a.Version == b.Version
			}
			if got := k.scan(here, "", "", 1+r.IntN(9)); !slices.EqualFunc(got, want, same) {
				k.t.Fatalf("step %d: scan returned %d rows, want %d: %+v, want %+v", step, len(got), len(want), got, want)
			}
		}
	}
}
