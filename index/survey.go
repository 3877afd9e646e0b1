package index

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
)

// Survey tells what an attribute or a set of tags holds. It is made in steps, so
// that nobody who writes between them waits for long: what changes meanwhile may
// be in it or not.
type Survey struct {
	Rows  int               // that have a value
	Kinds [Location + 1]int // rows by the kind of their value
	All   bool              // Top is every value that there is
	Top   []Counted         // the values of the most rows; of numbers nearly all different none

	Sketch Sketch // of which values there are

	name   string
	tags   bool
	most   int
	column *column
	dict   *dictionary
	at     int
	found  top
	tries  int
}

// Counted is a value with the number of its rows.
type Counted struct {
	Value
	Rows int
}

// NewSurvey begins one of an attribute, or of a set of tags. most is how many
// values are told; with 0 none is looked
// at, and there is no sketch.
func NewSurvey(name string, tags bool, most int) *Survey {
	return &Survey{name: name, tags: tags, most: most}
}

// So many codes or rows are looked at in a step; fewer where each has to be read
// and hashed.
const (
	surveyRows = 1 << 16
	surveyHash = 1 << 13
	surveyEnds = 8 // times that it begins anew, when the column becomes another
)

// Step goes on with the survey, and reports whether there is more to do.
func (s *Survey) Step(x *Index) (more bool) {
	var c *column
	var d *dictionary
	if s.tags {
		if set := x.sets[s.name]; set != nil {
			d = set.dict
		}
	} else if c = x.columns[s.name]; c != nil {
		d = c.dict
	}
	if s.at == 0 || c != s.column || d != s.dict {
		if s.tries++; s.tries > surveyEnds {
			s.All = false
			return false
		}
		*s = Survey{name: s.name, tags: s.tags, most: s.most, tries: s.tries, column: c, dict: d}
		s.All = d == nil || (c == nil || c.plain == nil) && d.distinct() <= s.most
		if s.most > 0 {
			s.Sketch = make(Sketch, sketchSize)
		}
	}
	switch {
	case d == nil:
		return false
	case c != nil && c.plain != nil:
		return s.numbers(c)
	case s.codes(d):
		return true
	}
	if s.tags {
		s.Rows = x.sets[s.name].has.count()
	}
	s.Top = s.found.values(d)
	return false
}

// codes looks at some values of a dictionary.
func (s *Survey) codes(d *dictionary) (more bool) {
	step := surveyRows
	if s.Sketch != nil {
		step = surveyHash
	}
	end := min(s.at+step, len(d.kinds))
	for code := s.at; code < end; code++ {
		kind, rows := d.kinds[code], d.counts[code]
		if kind == 0 {
			continue
		}
		s.Rows += int(rows)
		s.Kinds[kind] += int(rows)
		if s.most > 0 {
			s.found.put(uint32(code), rows, s.most)
		}
		if s.Sketch != nil {
			s.Sketch.add(d.value(uint32(code)))
		}
	}
	s.at = end
	return end < len(d.kinds)
}

// numbers looks at some rows of a plain column.
func (s *Survey) numbers(c *column) (more bool) {
	end := min(s.at+surveyRows, c.plain.keys.Len())
	for row := s.at; row < end; row++ {
		if !c.has.has(uint32(row)) {
			continue
		}
		s.Kinds[c.plain.kind]++
		s.Rows++
		if s.Sketch != nil {
			s.Sketch.add(c.plain.get(uint32(row)))
		}
	}
	s.at = end
	return end < c.plain.keys.Len()
}

func (m marks) count() (rows int) {
	for _, word := range m {
		rows += bits.OnesCount64(word)
	}
	return rows
}

// top keeps the codes of the most rows, that of the fewest first.
type top []coded32

type coded32 struct{ code, rows uint32 }

func (t top) Len() int           { return len(t) }
func (t top) Less(i, j int) bool { return t[i].rows < t[j].rows }
func (t top) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *top) Push(v any)        { *t = append(*t, v.(coded32)) }
func (t *top) Pop() any          { last := (*t)[len(*t)-1]; *t = (*t)[:len(*t)-1]; return last }

func (t *top) put(code, rows uint32, most int) {
	switch {
	case len(*t) < most:
		heap.Push(t, coded32{code, rows})
	case rows > (*t)[0].rows:
		(*t)[0] = coded32{code, rows}
		heap.Fix(t, 0)
	}
}

// values are those of the codes, as they are now, that of the most rows first.
func (t top) values(d *dictionary) (all []Counted) {
	for _, c := range t {
		if int(c.code) < len(d.kinds) && d.kinds[c.code] != 0 {
			all = append(all, Counted{d.value(c.code), int(d.counts[c.code])})
		}
	}
	slices.SortFunc(all, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Bits, b.Bits))
	})
	return all
}
