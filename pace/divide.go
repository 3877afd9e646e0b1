package pace

import (
	"math/bits"

	"github.com/tocsin-push/tocsin"
)

// least is one in how many of a quota a process gets at least, if it wants as
// much.
const least = 25

// wants is what a share wants to let leave.
func (s Share) wants() (sum int) {
	if s.Gone {
		return 0
	}
	for _, n := range s.Want {
		sum += n
	}
	return sum
}

// least is what a share is not to be without, of a quota that n want some of.
func (s Share) least(whole, n int) int {
	return min(s.wants(), max(1, min(whole/least, whole/max(1, n))))
}

// wanting counts the shares that want anything.
func wanting(shares []Share) (n int) {
	for _, s := range shares {
		if s.wants() > 0 {
			n++
		}
	}
	return n
}

// divide says which part of a whole each share should have. Whoever wants some
// gets a little; then classes are served in their order, inside a class each as
// much as it wants, or by how much it wants where that is more than there is;
// what nobody wants is spread. All processes come to the same from one row.
func divide(whole int, edition uint64, shares []Share) []int {
	parts := make([]int, len(shares))
	n := wanting(shares)
	if n > whole { // they take turns
		first := int(edition / uint64(8*n) % uint64(n))
		at := 0
		for i, s := range shares {
			if s.wants() == 0 {
				continue
			}
			if (at-first+n)%n < whole {
				parts[i] = 1
			}
			at++
		}
		return parts
	}
	rest := whole
	for i, s := range shares {
		if k := s.least(whole, n); k > 0 {
			// In steps, so that it does not change with each push.
			parts[i] = min(1<<bits.Len(uint(k-1)), max(1, min(whole/least, whole/n)))
			rest -= parts[i]
		}
	}
	for c := tocsin.Urgent; c <= tocsin.Synthetic && rest > 0; c++ {
		all := 0
		for _, s := range shares {
			if !s.Gone {
				all += s.Want[c]
			}
		}
		left := rest
		for i, s := range shares {
			if s.Gone || all == 0 {
				continue
			}
			k := s.Want[c]
			if all > left {
				k = int(float64(left) * float64(k) / float64(all))
			}
			k = min(k, rest)
			parts[i] += k
			rest -= k
		}
		if all > left { // what rounding left
			break
		}
	}
	scatter(parts, rest, shares, n)
	return parts
}

// scatter gives what is left to all that want something, or to all.
func scatter(parts []int, rest int, shares []Share, n int) {
	takers := 0
	for _, s := range shares {
		if !s.Gone && (n == 0 || s.wants() > 0) {
			takers++
		}
	}
	for i, s := range shares {
		if s.Gone || n > 0 && s.wants() == 0 {
			continue
		}
		k := rest / takers
		parts[i] += k
		rest -= k
		takers--
	}
}
