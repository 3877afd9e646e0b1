package index

import "math/bits"

// Sketch tells about how many different values were added, over several indexes
// too: the greatest of each byte is the sketch of all (HyperLogLog, Flajolet and
// others 2007). It is the same in every process.
type Sketch []byte

// sketchBits makes sketches of 4 KiB that are wrong by 1.6 %, as a rule.
const (
	sketchBits = 12
	sketchSize = 1 << sketchBits
)

func (s Sketch) add(v Value) {
	h := uint64(14695981039346656037) // FNV-1a
	for i := range len(v.Text) {
		h = (h ^ uint64(v.Text[i])) * 1099511628211
	}
	h = spread(h ^ uint64(v.Bits) ^ uint64(v.Kind)<<56)
	rank := byte(bits.LeadingZeros64(h<<sketchBits|1<<(sketchBits-1)) + 1)
	at := h >> (64 - sketchBits)
	s[at] = max(s[at], rank)
}

// spread makes every bit depend on every other (the finalizer of SplitMix64).
func spread(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
