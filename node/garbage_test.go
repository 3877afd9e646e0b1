package node

import "testing"

// Small heaps may double, large ones may not.
func TestShareOfGarbage(t *testing.T) {
	for live, want := range map[uint64]int{0: 100, 50 << 20: 100, 384 << 20: 100, 768 << 20: 50, 1536 << 20: 25, 10 << 30: 15} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes: %d %%, want %d", live, got, want)
		}
	}
}

// Memory is given back once in a time of rest, and not for little.
func TestMemoryIsGivenBackAtRest(t *testing.T) {
	var r rest
	allocated := uint64(0)
	looks := func(n int, each, spare uint64) (given int) {
		for range n {
			allocated += each
			if r.look(allocated, spare) {
				given++
			}
		}
		return given
	}
	for _, step := range []struct {
		looks       int
		each, spare uint64
		given       int
	}{{30, 1 << 30, 1 << 30, 0}, {9, 1 << 20, 1 << 30, 0}, {1, 1 << 20, 1 << 30, 1}, {100, 1 << 20, 1 << 30, 0},
		{1, 1 << 30, 1 << 30, 0}, {100, 1 << 20, 1 << 30, 1}, {1, 1 << 30, 1 << 30, 0}, {100, 1 << 20, 1 << 20, 0}} {
		if given := looks(step.looks, step.each, step.spare); given != step.given {
			t.Errorf("%+v: given back %d times", step, given)
		}
	}
}
