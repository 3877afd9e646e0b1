package catalogue

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/store"
)

// format is the version of the row.
const format = 1

const rowKey = "names"

func place(project tocsin.ProjectID) store.Place {
	return store.Place{Table: "catalogue", Partition: project.String()}
}

// ErrDamaged says that the row of a project cannot be read.
var ErrDamaged = errors.New("catalogue: row is damaged or of a newer build")

// row is the names of a project as they are being changed.
type row struct {
	edition uint64
	names   [kinds]map[string]*Entry
	pending *pending
}

// pending is a deletion or a renaming on its way to the shards.
type pending struct {
	kind     Kind
	from, to string // to is empty: it is deleted
	entry    *Entry // goes to the new name
}

// storedRow is a row as it is stored. Writers are named by their place in the
// list, since the same few write most names.
type storedRow struct {
	V       int                       `json:"v"`
	Edition uint64                    `json:"edition,omitempty"`
	Writers []Writer                  `json:"writers,omitempty"`
	Names   [kinds]map[string]*stored `json:"names"`
	Pending *storedPending            `json:"pending,omitempty"`
}

type stored struct {
	Type  Type     `json:"t,omitempty"`
	First int64    `json:"f,omitempty"` // Unix seconds
	By    int      `json:"b,omitempty"` // place of the writer, from 1
	Last  Day      `json:"l,omitempty"`
	Seen  [][2]int `json:"w,omitempty"` // place of a writer, from 1, and his last day
}

type storedPending struct {
	Kind  Kind    `json:"kind"`
	From  string  `json:"from"`
	To    string  `json:"to,omitempty"`
	Entry *stored `json:"entry,omitempty"`
}

func (r *row) marshal() ([]byte, error) {
	out := storedRow{V: format, Edition: r.edition}
	places := map[Writer]int{}
	placed := func(w Writer) int {
		if w.Via == 0 {
			return 0
		}
		if places[w] == 0 {
			out.Writers = append(out.Writers, w)
			places[w] = len(out.Writers)
		}
		return places[w]
	}
	one := func(e *Entry) *stored {
		s := &stored{Type: e.Type, By: placed(e.By), Last: e.Last}
		if !e.First.IsZero() {
			s.First = e.First.Unix()
		}
		for _, w := range e.Writers {
			s.Seen = append(s.Seen, [2]int{placed(w.Writer), int(w.Last)})
		}
		return s
	}
	for k, all := range r.names {
		out.Names[k] = make(map[string]*stored, len(all))
		for name, e := range all {
			out.Names[k][name] = one(e)
		}
	}
	if p := r.pending; p != nil {
		out.Pending = &storedPending{Kind: p.kind, From: p.from, To: p.to, Entry: one(p.entry)}
	}
	return json.Marshal(out)
}

func unmarshal(data []byte) (*row, error) {
	var in storedRow
	if err := json.Unmarshal(data, &in); err != nil || in.V != format {
		return nil, fmt.Errorf("%w: format %d", ErrDamaged, in.V)
	}
	writer := func(place int) Writer {
		if place < 1 || place > len(in.Writers) {
			return Writer{}
		}
		return in.Writers[place-1]
	}
	one := func(s *stored) *Entry {
		e := &Entry{Type: s.Type, By: writer(s.By), Last: s.Last}
		if s.First != 0 {
			e.First = time.Unix(s.First, 0).UTC()
		}
		for _, w := range s.Seen {
			e.Writers = append(e.Writers, Seen{writer(w[0]), Day(w[1])})
		}
		return e
	}
	r := &row{edition: in.Edition}
	for k, all := range in.Names {
		r.names[k] = make(map[string]*Entry, len(all))
		for name, s := range all {
			if s == nil || s.Type > Location {
				return nil, fmt.Errorf("%w: name %.64q", ErrDamaged, name)
			}
			r.names[k][name] = one(s)
		}
	}
	if p := in.Pending; p != nil && p.Entry != nil {
		r.pending = &pending{p.Kind, p.From, p.To, one(p.Entry)}
	}
	return r, nil
}

// count is how many names of a kind there are, one on its way included.
func (r *row) count(k Kind) int {
	n := len(r.names[k])
	if r.pending != nil && r.pending.kind == k && r.pending.to != "" {
		n++
	}
	return n
}

// joins reports whether one more writer may be noted.
func (r *row) joins() bool {
	known := map[Writer]bool{}
	for _, all := range r.names {
		for _, e := range all {
			known[e.By] = true
			for _, w := range e.Writers {
				known[w.Writer] = true
			}
		}
	}
	return len(known) < allWriters
}

// clone is a row to change. Entries are shared: who changes one puts another in
// its place.
func (r *row) clone() *row {
	c := *r
	for k, all := range r.names {
		c.names[k] = maps.Clone(all)
	}
	return &c
}

// view is the row as others see it. The row must not be changed afterwards.
func (r *row) view() *View { return &View{Edition: r.edition, names: r.names, crowded: !r.joins()} }
