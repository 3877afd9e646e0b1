package target

import (
	"cmp"
	"strings"
)

// maxParts is the most numbers that a version has.
const maxParts = 8

// Version is numbers divided by dots, as in 4.10.2, those that are missing being
// 0, with what Semantic Versioning lets stand behind: -beta.1 comes before the
// version without it, +build does not count.
type Version struct {
	numbers [maxParts]uint64
	before  string // the pre-release part
}

// ParseVersion reads a version.
func ParseVersion(text string) (v Version, ok bool) {
	text, build, built := strings.Cut(text, "+")
	text, before, marked := strings.Cut(text, "-")
	if built && !identifiers(build) || marked && !identifiers(before) {
		return Version{}, false
	}
	v.before = before
	for part := 0; ; part++ {
		number, rest, more := strings.Cut(text, ".")
		if part == maxParts || len(number) < 1 || len(number) > 19 || !digits(number) {
			return Version{}, false
		}
		for _, c := range []byte(number) {
			v.numbers[part] = v.numbers[part]*10 + uint64(c-'0')
		}
		if !more {
			return v, true
		}
		text = rest
	}
}

// Compare orders versions by Semantic Versioning 2.0.0, section 11.
func (v Version) Compare(w Version) int {
	for i := range v.numbers {
		if c := cmp.Compare(v.numbers[i], w.numbers[i]); c != 0 {
			return c
		}
	}
	if (v.before == "") != (w.before == "") { // a pre-release comes first
		return cmp.Compare(len(w.before), len(v.before))
	}
	a, b := v.before, w.before
	for a != "" && b != "" {
		var x, y string
		x, a, _ = strings.Cut(a, ".")
		y, b, _ = strings.Cut(b, ".")
		if c := compareIdentifiers(x, y); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// compareIdentifiers puts numbers first, by size, then text, by bytes.
func compareIdentifiers(x, y string) int {
	switch isX, isY := digits(x), digits(y); {
	case isX && isY:
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y))
	case isX:
		return -1
	case isY:
		return 1
	}
	return strings.Compare(x, y)
}

func digits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}

// identifiers reports whether text is what may stand behind - or +.
func identifiers(text string) bool {
	for part := range strings.SplitSeq(text, ".") {
		if part == "" || strings.Trim(part, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			return false
		}
	}
	return true
}
