package ask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// question is what one process asks another, in JSON: the arguments of a method of
// Audience or Receipts, by its name. A process of another build leaves out, and
// passes over, what it does not know.
type question struct {
	Kind          string
	Project       tocsin.ProjectID
	Query         *query                  `json:",omitempty"`
	Recipients    messages                `json:",omitempty"`
	Upserts       messages                `json:",omitempty"`
	At            time.Time               `json:",omitzero"`
	Position      uint64                  `json:",omitempty"`
	Explain       bool                    `json:",omitempty"`
	Most          int64                   `json:",omitempty"`
	Name          *Name                   `json:",omitempty"`
	Subscription  tocsin.SubscriptionID   `json:",omitzero"`
	IDs           []tocsin.SubscriptionID `json:",omitempty"`
	Wait          bool                    `json:",omitempty"`
	Profile       string                  `json:",omitempty"`
	Names         []string                `json:",omitempty"`
	Ordinals      []uint32                `json:",omitempty"`
	Routes        []Route                 `json:",omitempty"`
	Send          tocsin.SendID           `json:",omitzero"`
	Registrations []Registration          `json:",omitempty"`
}

// query is a target's query as it prints, with the definitions of segments.
type query struct {
	Text     string
	Segments map[string]string `json:",omitempty"`
}

func queryOf(q *target.Query) *query {
	if q == nil {
		return nil
	}
	return &query{q.String(), q.Segments()}
}

// read is the query; it means the same as where it came from.
func (q *query) read() (*target.Query, error) {
	if q == nil {
		return nil, nil
	}
	return target.NewLibrary(target.Widest(), func(name string) ([]byte, bool) {
		text, ok := q.Segments[name]
		return []byte(text), ok
	}, nil).Parse([]byte(q.Text))
}

// nodesOf are the nodes of a query and of the definitions that go with it, in an
// order that is that of every query which prints the same.
func nodesOf(q *target.Query) (all []*target.Node) {
	var walk func(n *target.Node)
	walk = func(n *target.Node) {
		all = append(all, n)
		for i := range n.Nodes {
			walk(&n.Nodes[i])
		}
	}
	walk(q.Root())
	for _, name := range slices.Sorted(maps.Keys(q.Segments())) {
		if definition := q.Segment(name); definition != nil {
			all = append(all, nodesOf(definition)...)
		}
	}
	return all
}

// messages are records, encoded.
type messages [][]byte

func encoded[M interface{ MarshalVT() ([]byte, error) }](all []M) (messages, error) {
	out := make(messages, len(all))
	for i, m := range all {
		var err error
		if out[i], err = m.MarshalVT(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func decoded[T any, M interface {
	*T
	UnmarshalVT([]byte) error
}](all messages) ([]M, error) {
	if len(all) == 0 {
		return nil, nil // none were asked about
	}
	out := make([]M, len(all))
	for i, data := range all {
		out[i] = new(T)
		if err := out[i].UnmarshalVT(data); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// funnel is a Funnel whose nodes are numbers.
type funnel struct {
	Funnel
	Nodes []int // of the clauses of all steps, from the outside in
}

func (f *Funnel) clauses() (all []*Clause) {
	var walk func(c *Clause)
	walk = func(c *Clause) {
		all = append(all, c)
		for i := range c.Inner {
			walk(&c.Inner[i])
		}
	}
	for i := range f.Steps {
		walk(&f.Steps[i].Clause)
	}
	return all
}

// verdict is the same of a Verdict.
type verdict struct {
	Verdict *index.Verdict
	Nodes   []int
}

func verdictsOf(v *index.Verdict) (all []*index.Verdict) {
	all = []*index.Verdict{v}
	for i := range v.Inner {
		all = append(all, verdictsOf(&v.Inner[i])...)
	}
	return all
}

// number takes the nodes out of an answer, name puts them back.
func number[T any](q *target.Query, all []*T, node func(*T) **target.Node) ([]int, error) {
	known, numbers := nodesOf(q), make([]int, len(all))
	for i, one := range all {
		at := node(one)
		// One that was copied means the same.
		if numbers[i] = slices.IndexFunc(known, func(n *target.Node) bool { return n == *at || reflect.DeepEqual(n, *at) }); numbers[i] < 0 {
			return nil, fmt.Errorf("ask: an answer names what does not stand in its question")
		}
		*at = nil
	}
	return numbers, nil
}

func name[T any](q *target.Query, numbers []int, all []*T, node func(*T) **target.Node) error {
	known := nodesOf(q)
	if len(numbers) != len(all) {
		return fmt.Errorf("ask: an answer about %d clauses names %d", len(all), len(numbers))
	}
	for i, one := range all {
		if numbers[i] < 0 || numbers[i] >= len(known) {
			return fmt.Errorf("ask: an answer names clause %d of %d", numbers[i], len(known))
		}
		*node(one) = known[numbers[i]]
	}
	return nil
}

func ofClause(c *Clause) **target.Node         { return &c.Node }
func ofVerdict(v *index.Verdict) **target.Node { return &v.Node }

// rows are encoded as snapshots have them.
func encodeRows(rows *index.Rows) []byte {
	var b bytes.Buffer
	e := index.NewEncoder(&b)
	rows.Encode(e)
	if err := e.Flush(); err != nil {
		panic(err) // it goes into memory
	}
	return b.Bytes()
}

func decodeRows(data []byte) (*index.Rows, error) {
	const most = 1 << 31
	d := index.NewDecoder(bytes.NewReader(data))
	rows := index.DecodeRows(d, most)
	return rows, d.Err()
}

// closing is the end of a stream of outcomes.
type closing struct{ Closed bool }

// reply is one piece of an answer: some of a stream, or the end of it.
type reply struct {
	Some   []Outcome       `json:",omitempty"`
	Answer json.RawMessage `json:",omitempty"`
	Failed string          `json:",omitempty"`
}

// recipients are what a count is about; nil when it has a query.
func (q *question) recipients() ([]*record.Recipient, error) {
	return decoded[record.Recipient](q.Recipients)
}

func (q *question) upserts() ([]*record.Upsert, error) { return decoded[record.Upsert](q.Upserts) }
