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

// A row that is wiped leaves nothing in memory but what others have too; whoever
// holds a text goes on reading it.
func TestWipedRow(t *testing.T) {
	x := New()
	for row := range uint32(5000) { // several chunks
		x.Set(row, "mail", Value{Kind: Text, Text: fmt.Sprintf("mail-%d-%0200d", row, row)})
		x.Set(row, "country", Value{Kind: Text, Text: fmt.Sprint("country-", row%2)})
		x.ChangeTags(row, "own", false, nil, []string{fmt.Sprintf("tag-%d-", row), "shared-tag"}, nil)
	}
	held := func(text string) (n int) {
		for _, a := range []*Arena{&x.columns["mail"].dict.arena, &x.columns["country"].dict.arena, &x.sets["own"].dict.arena} {
			for _, chunk := range a.chunks {
				n += bytes.Count(chunk, []byte(text))
			}
		}
		return n
	}
	kept, _ := x.Get(3000, "mail")
	want := fmt.Sprintf("mail-%d-%0200d", 3000, 3000)
	x.Wipe(3000)
	if held("mail-3000-") != 0 || held("tag-3000-") != 0 {
		t.Error("it is still in memory")
	}
	if held("country-0") != 1 || held("shared-tag") != 1 || held("mail-2999-") != 1 || held("tag-3001-") != 1 {
		t.Error("what others have went too")
	}
	if kept.Text != want {
		t.Errorf("a text in somebody's hands became %q", kept.Text)
	}
	if v, ok := x.Get(3000, "mail"); ok || len(x.Tags(3000, "own")) != 0 {
		t.Errorf("it still has %v", v)
	}
	if v, _ := x.Get(4999, "mail"); v.Text != fmt.Sprintf("mail-%d-%0200d", 4999, 4999) {
		t.Errorf("another has %q", v.Text)
	}
}
