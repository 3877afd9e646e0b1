package target

// Nearest returns the word that may have been meant: the one that the fewest
// letters added, left out, changed or swapped with their neighbour turn it
// into, at most one for each three letters. Of several it is the first.
func Nearest(meant string, words []string) (word string, ok bool) {
	const longest = 80
	if len(meant) > longest {
		return "", false
	}
	least := len(meant)/3 + 1
	for _, w := range words {
		if len(w) > longest || w == meant {
			continue
		}
		if d := distance(meant, w); d < least {
			least, word, ok = d, w, true
		}
	}
	return word, ok
}

// distance counts the edits between two words (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// suggest adds to what is allowed the word that may have been meant.
func suggest(allowed, meant string, words ...string) string {
	if word, ok := Nearest(meant, words); ok {
		return allowed + "; did you mean " + word + "?"
	}
	return allowed
}
