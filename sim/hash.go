package sim

import (
	"encoding/binary"
	"math/bits"
)

// Hash is the 64-bit hash by which the ledger knows a token or a send. Two of
// ten million tokens collide with a probability of about 3 in a million.
func Hash[T ~string | ~[]byte](text T) uint64 { return hash([]byte(text)) }

// hash multiplies 16 bytes at a time into 128 bits and folds them.
func hash(b []byte) uint64 {
	const k0, k1, k2 = 0xa0761d6478bd642f, 0xe7037ed1a0b428db, 0x8ebc6af09c88c6e3
	h := uint64(len(b)) ^ k0
	for len(b) >= 16 {
		h = fold(binary.LittleEndian.Uint64(b)^k1, binary.LittleEndian.Uint64(b[8:])^h)
		b = b[16:]
	}
	var tail [16]byte
	copy(tail[:], b)
	h = fold(binary.LittleEndian.Uint64(tail[:])^k2, binary.LittleEndian.Uint64(tail[8:])^h)
	return mix(h)
}

func fold(a, b uint64) uint64 {
	high, low := bits.Mul64(a, b)
	return high ^ low
}

// mix is the finisher of SplitMix64: every bit of h moves every bit of the result.
func mix(h uint64) uint64 {
	h += 0x9e3779b97f4a7c15
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
