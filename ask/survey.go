package ask

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/tocsin-push/tocsin"
)

// Name is an attribute, or a set of tags.
type Name struct {
	Name string
	Tags bool
}

// Value is a value of an attribute, or a tag. Kind and Bits are as package index
// has them.
type Value struct {
	Kind uint8
	Text string
	Bits int64
}

// Counted is a value with the number of live subscriptions that have it.
type Counted struct {
	Value
	Rows int
}

// Survey is what live subscriptions have under a name.
type Survey struct {
	Rows   int           // that have something
	Kinds  map[uint8]int // by the kind of their value; where no subscription has one, of people
	All    bool          // Top has every value
	Top    []Counted     // the most frequent, most frequent first
	Sketch []byte        // of all values, as package index makes it: see Distinct
}

// Distinct is how many different values there are; exact when all are told, else
// wrong by 1.6 %, as a rule (HyperLogLog, Flajolet and others 2007).
func (s *Survey) Distinct() int {
	if s.All {
		return len(s.Top)
	}
	sum, zeros, size := 0.0, 0, float64(len(s.Sketch))
	for _, rank := range s.Sketch {
		sum += math.Ldexp(1, -int(rank))
		if rank == 0 {
			zeros++
		}
	}
	about := 0.7213 / (1 + 1.079/size) * size * size / sum
	if about <= 2.5*size && zeros > 0 {
		about = size * math.Log(size/float64(zeros)) // few values: count those that found a place of their own
	}
	return min(int(math.Round(about)), s.Rows)
}

// Names are what subscriptions or people have, and how many subscriptions live.
type Names struct {
	Names []Name
	Live  int
}

// Names lists what some shard has, in order, and counts live subscriptions.
func (s Shards) Names(ctx context.Context, project tocsin.ProjectID) (all Names, err error) {
	each := make([]Names, len(s))
	err = s.All(func(shard tocsin.Shard) (err error) {
		each[shard], err = s[shard].Names(ctx, project)
		return err
	})
	for _, some := range each {
		all.Names, all.Live = append(all.Names, some.Names...), all.Live+some.Live
	}
	slices.SortFunc(all.Names, func(a, b Name) int { return cmp.Or(cmp.Compare(a.Name, b.Name), compareFlags(a.Tags, b.Tags)) })
	all.Names = slices.Compact(all.Names)
	return all, err
}

func compareFlags(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// perShard is how many values a shard tells. Below it counts are exact. A value
// that is rarer on a shard than so many others is not counted there.
const perShard = 1024

// Survey adds up what the shards have under a name. Without values, only their
// kinds are looked at. Top is in order, the most frequent first.
func (s Shards) Survey(ctx context.Context, project tocsin.ProjectID, name Name, values bool) (Survey, error) {
	each := make([]Survey, len(s))
	most := 0
	if values {
		most = perShard
	}
	err := s.All(func(shard tocsin.Shard) (err error) {
		each[shard], err = s[shard].Survey(ctx, project, name, most)
		return err
	})
	sum := Survey{Kinds: map[uint8]int{}, All: true}
	rows := map[Value]int{}
	for _, one := range each {
		sum.Rows += one.Rows
		sum.All = sum.All && one.All
		for kind, n := range one.Kinds {
			sum.Kinds[kind] += n
		}
		if len(sum.Sketch) == 0 {
			sum.Sketch = make([]byte, len(one.Sketch))
		}
		for at, rank := range one.Sketch {
			sum.Sketch[at] = max(sum.Sketch[at], rank)
		}
		for _, v := range one.Top {
			rows[v.Value] += v.Rows
		}
	}
	for v, n := range rows {
		sum.Top = append(sum.Top, Counted{v, n})
	}
	slices.SortFunc(sum.Top, func(a, b Counted) int {
		return cmp.Or(cmp.Compare(b.Rows, a.Rows), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Text, b.Text), cmp.Compare(a.Bits, b.Bits))
	})
	return sum, err
}
