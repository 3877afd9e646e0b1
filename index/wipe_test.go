package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
)

// What is wiped is exactly what nobody refers to, whatever happens between the
// look and the end.
func TestWipe(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 30 {
		var a Arena
		refs, gone := map[Ref]string{}, map[Ref]string{}
		add := func(n int) {
			for range n {
				text := fmt.Sprintf("entry %d of %d", random.Uint64(), len(refs))
				if random.IntN(50) == 0 {
					text += string(make([]byte, random.IntN(chunkSize/8))) + "end"
				}
				refs[a.Add([]byte(text))] = text
			}
		}
		free := func(n int, into map[Ref]string) {
			for ref, text := range refs {
				if n--; n < 0 {
					break
				}
				a.Free(ref)
				into[ref] = text
				delete(refs, ref)
			}
		}
		add(random.IntN(3000))
		free(random.IntN(1+len(refs)), gone)
		kept := a.clone() // somebody reads on
		w := GarbageOf(&a, func(yield func(Ref) bool) {
			for ref := range refs {
				if !yield(ref) {
					return
				}
			}
		}).Look()
		add(random.IntN(300))
		later := map[Ref]string{}
		free(random.IntN(1+len(refs)), later)
		w.Clean()
		add(random.IntN(300))
		w.Place()
		add(random.IntN(300))
		for ref, text := range refs {
			if string(a.Get(ref)) != text {
				t.Fatalf("%d is %.40q, want %.40q", ref, a.Get(ref), text)
			}
		}
		for ref, text := range gone {
			if got := a.Get(ref); bytes.ContainsFunc(got, func(r rune) bool { return r != 0 }) {
				t.Fatalf("%d is still %.40q", ref, got)
			}
			if string(kept.Get(ref)) != text {
				t.Fatalf("what was handed out has changed")
			}
		}
	}
}
