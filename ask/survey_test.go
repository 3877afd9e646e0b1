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
	ask.Audience
	of ask.Survey
}

func (h holding) Survey(context.Context, tocsin.ProjectID, ask.Name, int) (ask.Survey, error) {
	return h.of, nil
}

func (h holding) Names(context.Context, tocsin.ProjectID) (ask.Names, error) {
	return ask.Names{Names: []ask.Name{{Name: "b"}, {Name: "a", Tags: true}, {Name: "a"}}, Live: 3}, nil
}

// What several shards have is added up, value by value; a shard may know nothing
// of the project.
func TestSurveysAreAddedUp(t *testing.T) {
	fr, de := ask.Value{Kind: 1, Text: "FR"}, ask.Value{Kind: 1, Text: "DE"}
	first, second := make([]byte, 4096), make([]byte, 4096)
	first[7], first[9], second[7] = 3, 1, 5
	shards := ask.Shards{{Audience: holding{of: ask.Survey{All: true}}},
		{Audience: holding{of: ask.Survey{Rows: 5, Kinds: map[uint8]int{1: 5}, All: true, Top: []ask.Counted{{Value: fr, Rows: 3}, {Value: de, Rows: 2}}, Sketch: first}}},
		{Audience: holding{of: ask.Survey{Rows: 4, Kinds: map[uint8]int{1: 3, 4: 1}, All: true, Top: []ask.Counted{{Value: de, Rows: 4}}, Sketch: second}}}}
	sum, err := shards.Survey(t.Context(), tocsin.ProjectID{}, ask.Name{Name: "country"}, true)
	if err != nil || sum.Rows != 9 || sum.Kinds[1] != 8 || sum.Kinds[4] != 1 || len(sum.Top) != 2 || sum.Top[0] != (ask.Counted{Value: de, Rows: 6}) ||
		sum.Distinct() != 2 || sum.Sketch[7] != 5 || sum.Sketch[9] != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	names, err := shards.Names(t.Context(), tocsin.ProjectID{})
	if err != nil || names.Live != 9 || len(names.Names) != 3 || names.Names[0].Tags || !names.Names[1].Tags || names.Names[2].Name != "b" {
		t.Errorf("%v, %v", names, err)
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
