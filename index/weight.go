package index

// numberWeight is what a value that is no text weighs.
const numberWeight = 8

// Weight is how many bytes of values a row has: those of texts and tags, and
// eight for every other value. Names in except are left out: of attributes, and
// of sets of tags.
func (x *Index) Weight(row uint32, except, exceptSets func(name string) bool) (bytes int) {
	for name, c := range x.columns {
		if v, ok := c.get(row); ok && !except(name) {
			bytes += v.Weight()
		}
	}
	for name, s := range x.sets {
		if s.has.has(row) && !exceptSets(name) {
			for _, code := range s.codesOf(row, nil) {
				bytes += len(s.dict.value(code).Text)
			}
		}
	}
	return bytes
}

// Weight is how many bytes a value counts for.
func (v Value) Weight() int {
	if v.textual() {
		return len(v.Text)
	}
	return numberWeight
}
