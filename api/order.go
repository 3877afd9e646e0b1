package api

import "strings"

// order knows names that lines bring, and what is known of each. Most lines bring
// the same names in the same order, some of them left out: it looks where the last
// one was found, and onwards.
type order[T any] struct {
	names []string
	of    []T
	at    int // behind the last one that was found
}

// mostOrdered is how many names are known at the same time; beyond, they are
// learned anew.
const mostOrdered = 256

// find returns a name as it is kept, and what is known of it.
func (o *order[T]) find(name string) (kept string, of *T, ok bool) {
	for i := range o.names {
		at := o.at + i
		if at >= len(o.names) {
			at -= len(o.names)
		}
		if o.names[at] == name {
			o.at = at + 1
			return o.names[at], &o.of[at], true
		}
	}
	return "", nil, false
}

// add takes in a name that find does not find. It may stand where a line is read.
func (o *order[T]) add(name string, of T) (kept string) {
	if len(o.names) == mostOrdered {
		o.clear()
	}
	kept = strings.Clone(name)
	o.names, o.of = append(o.names, kept), append(o.of, of)
	o.at = len(o.names)
	return kept
}

func (o *order[T]) clear() { o.names, o.of, o.at = nil, nil, 0 }
