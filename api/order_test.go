package api

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order of names, and however many: what was noted of one is what is
// found of it, and it stands in memory of its own.
func TestAnOrderFindsWhatWasNoted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o order[int]
		noted := map[string]int{}
		line := make([]byte, 0, 8)
		for range rapid.IntRange(0, 2*mostOrdered).Draw(t, "names") {
			line = fmt.Appendf(line[:0], "n%d", rapid.IntRange(0, mostOrdered+20).Draw(t, "name"))
			kept, of, ok := o.find(view(line))
			want, known := noted[string(line)]
			if ok && (!known || *of != want || kept != string(line)) {
				t.Fatalf("%s is found as %q with %d, noted is %d, %v", line, kept, *of, want, known)
			}
			if ok {
				continue
			}
			if len(noted) == mostOrdered { // all are forgotten then
				clear(noted)
			} else if known {
				t.Fatalf("%s is not found", line)
			}
			noted[string(line)] = len(noted)
			o.add(view(line), noted[string(line)])
		}
	})
}
