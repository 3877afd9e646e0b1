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
