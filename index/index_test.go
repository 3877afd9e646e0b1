package index

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// again writes a snapshot and reads it back.
func again(t testing.TB, x *Index) *Index {
	t.Helper()
	from := SavedOf(x.Freeze("", new(Moment)))
	back := load(from, "", x.shape)
	if from.Err() != nil {
		t.Fatal(from.Err())
	}
	return back
}

// Columns change their shape with what is in them: sets of rows, then codes alone,
// then plain numbers, and codes again when another type comes.
func TestColumnsOfManyValues(t *testing.T) {
	const rows = 20_000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	x, n := New(), make(naive)
	parse := func(query string) *target.Query {
		q, err := target.Parse(target.Default(), []byte(query))
		if err != nil {
			t.Fatal(query, err)
		}
		return q
	}
	set := func(row uint32, name string, v Value) {
		x.Set(row, name, v)
		n.row(row).attributes[name] = v
	}
	all := roaring.New()
	all.AddRange(0, rows)
	check := func(stage string) {
		t.Helper()
		for _, query := range []string{`{"id":17}`, `{"id":{"$in":[18,19,1000000]}}`, `{"id":{"$exists":false}}`, `{"id":"x"}`,
			`{"user":"u17"}`, `{"user":{"$in":["u18","u19","u1"]},"$not":{"id":18}}`, `{"mid":300}`, `{"mid":{"$exists":true}}`} {
			q := parse(query)
			if got, want := found(t, x, q, all, &Around{}), n.run(q, all.ToArray(), &Around{}); !slices.Equal(got, want) {
				t.Fatalf("%s: %s finds %v, want %v", stage, query, got, want)
			}
		}
		if !n.agrees(x) {
			t.Fatalf("%s: values read back differ", stage)
		}
	}
	for row := range uint32(rows) {
		set(row, "id", Value{Kind: Integer, Bits: int64(row)})
		set(row, "user", Value{Kind: Text, Text: fmt.Sprintf("u%d", row)})
		set(row, "mid", Value{Kind: Integer, Bits: int64(random.IntN(500))})
	}
	if x.columns["id"].plain == nil || x.columns["user"].sets != nil || x.columns["mid"].sets == nil {
		t.Fatal("columns have not the shape that their values ask for")
	}
	check("filled")
	x = again(t, x)
	check("read back")
	for range rows {
		row := uint32(random.IntN(rows))
		set(row, "id", Value{Kind: Integer, Bits: int64(random.IntN(30))})
		set(row, "user", Value{Kind: Text, Text: fmt.Sprintf("u%d", random.IntN(30))})
		if random.IntN(10) == 0 {
			x.Clear(row)
			delete(n, row)
		}
	}
	check("changed")
	set(7, "id", Value{Kind: Text, Text: "x"})
	if x.columns["id"].plain != nil {
		t.Fatal("text in a plain column of numbers")
	}
	check("mixed")
	x = again(t, x)
	check("mixed, read back")
}

// Text that comes and goes leaves no growing garbage behind.
func TestArenaGivesSpaceBack(t *testing.T) {
	x := New()
	for i := range 50_000 {
		x.Set(uint32(i%10), "last", Value{Kind: Text, Text: fmt.Sprintf("article number %d of a long list", i)})
		x.ChangeTags(uint32(i%10), "tags", true, []string{fmt.Sprintf("tag %d", i), "always"}, nil, nil)
	}
	if size := x.Size(); size > 2<<20 {
		t.Errorf("10 rows use %d bytes", size)
	}
	if v, _ := x.Get(9, "last"); v.Text != "article number 49999 of a long list" {
		t.Errorf("have %q", v.Text)
	}
	if got := x.Tags(9, "tags"); !slices.Equal(got, []string{"tag 49999", "always"}) {
		t.Errorf("have %q", got)
	}
}

// A value that no row has any more is forgotten, and its code given again.
func TestValuesGoWithTheirLastRow(t *testing.T) {
	x := New()
	for i := range 1000 {
		v := Value{Kind: Text, Text: fmt.Sprint(i)}
		x.Set(1, "name", v)
		x.Set(1, "name", v)
		x.ChangeTags(1, "tags", false, nil, []string{fmt.Sprint(i)}, []string{fmt.Sprint(i - 1)})
	}
	if c, s := x.columns["name"], x.sets["tags"]; c.dict.distinct() != 1 || len(c.dict.kinds) > 3 || s.dict.distinct() != 1 || len(s.dict.kinds) > 3 {
		t.Error("dictionaries remember what nobody has")
	}
	x.Clear(1)
	if x.columns["name"].dict.distinct() != 0 || x.sets["tags"].dict.distinct() != 0 {
		t.Error("something is left of a row that was cleared")
	}
}

// What refers to a part that is missing is refused.
func TestTornSnapshotsAreRefused(t *testing.T) {
	x := New()
	x.shape.plain = 200
	for row := range uint32(300) {
		x.Set(row, "country", Value{Kind: Text, Text: fmt.Sprint(row % 7)})
		x.Set(row, "id", Value{Kind: Integer, Bits: int64(row)})
		x.ChangeTags(row, "tags", true, []string{"a", "b"}, nil, nil)
	}
	refused := 0
	for i, s := range x.Freeze("", new(Moment)) {
		torn := x.Freeze("", new(Moment))
		torn[i].Parts = nil
		from := SavedOf(torn)
		if load(from, "", x.shape); from.Err() != nil {
			refused++
		} else if s.Name != "names" && !strings.HasSuffix(s.Name, "/codes") && !strings.HasSuffix(s.Name, "/lists") { // those are nobody's values
			t.Errorf("without %q it passes", s.Name)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}

// A column that gives up its dictionary may have had values behind those that it
// has now: a snapshot of it is read all the same.
func TestSnapshotOfAColumnThatWasLonger(t *testing.T) {
	x := New()
	x.shape = shape{sets: 4, plain: 16, rows: 1 << 20}
	x.Set(70_000, "number", Value{Kind: Integer, Bits: 1})
	x.Remove(70_000, "number")
	for row := range uint32(40) {
		x.Set(row, "number", Value{Kind: Integer, Bits: int64(row) * 1000})
	}
	if x.columns["number"].plain == nil {
		t.Fatal("the column keeps its dictionary")
	}
	y := again(t, x)
	for row := range uint32(40) {
		if v, ok := y.Get(row, "number"); !ok || v.Bits != int64(row)*1000 {
			t.Errorf("row %d has %v, %v", row, v, ok)
		}
	}
	if v, ok := y.Get(70_000, "number"); ok {
		t.Errorf("row 70,000 has %v", v)
	}
}
