package ask_test

import (
	"context"
	"math"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
)

// holding is a shard with one attribute.
type holding struct {
	ask.Shard
	of ask.Survey
}

func (h holding) Survey(context.Context, tocsin.ProjectID, ask.Name, int) (ask.Survey, error) {
	return h.of, nil
}

func (h holding) Names(tocsin.ProjectID) ([]ask.Name, int) {
	return []ask.Name{{Name: "b"}, {Name: "a", Tags: true}, {Name: "a"}}, 3
}

// What several shards have is added up, value by value; a shard may know nothing
// of the project.
func TestSurveysAreAddedUp(t *testing.T) {
	fr, de := ask.Value{Kind: 1, Text: "FR"}, ask.Value{Kind: 1, Text: "DE"}
	first, second := make([]byte, 4096), make([]byte, 4096)
	first[7], first[9], second[7] = 3, 1, 5
	shards := ask.Shards{holding{of: ask.Survey{All: true}},
		holding{of: ask.Survey{Rows: 5, Kinds: map[uint8]int{1: 5}, All: true, Top: []ask.Counted{{Value: fr, Rows: 3}, {Value: de, Rows: 2}}, Sketch: first}},
		holding{of: ask.Survey{Rows: 4, Kinds: map[uint8]int{1: 3, 4: 1}, All: true, Top: []ask.Counted{{Value: de, Rows: 4}}, Sketch: second}}}
	sum, err := shards.Survey(t.Context(), tocsin.ProjectID{}, ask.Name{Name: "country"}, true)
	if err != nil || sum.Rows != 9 || sum.Kinds[1] != 8 || sum.Kinds[4] != 1 || len(sum.Top) != 2 || sum.Top[0] != (ask.Counted{Value: de, Rows: 6}) ||
		sum.Distinct() != 2 || sum.Sketch[7] != 5 || sum.Sketch[9] != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	names, live := shards.Names(tocsin.ProjectID{})
	if live != 9 || len(names) != 3 || names[0].Tags || !names[1].Tags || names[2].Name != "b" {
		t.Errorf("%v of %d", names, live)
	}
	// Few values fill few places of a sketch, each its own.
	few := ask.Survey{Rows: 1 << 20, Sketch: make([]byte, 4096)}
	for i := range 100 {
		few.Sketch[40*i] = 1
	}
	if n := few.Distinct(); math.Abs(float64(n)-101) > 1 {
		t.Errorf("%d values", n)
	}
}
