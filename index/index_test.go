package index

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin/target"
)

// A small world, so that clauses meet rows.
var (
	names = []string{"country", "age", "score", "seen"}
	sets  = []string{"tags", "country"}
	tags  = []string{"politics", "sport", "music", "local", "food"}
	texts = []string{"FR", "DE", "https://example.org/a", "2026-11-23T08:00:00Z"}
)

func drawValue(t *rapid.T) Value {
	switch Kind(rapid.IntRange(1, 6).Draw(t, "kind")) {
	case Text:
		return Value{Kind: Text, Text: rapid.SampledFrom(texts).Draw(t, "text")}
	case URL:
		return Value{Kind: URL, Text: texts[2]}
	case Integer:
		return Value{Kind: Integer, Bits: rapid.Int64Range(-1, 2).Draw(t, "integer")}
	case Real:
		return RealValue(rapid.SampledFrom([]float64{-1, 0, 0.5, 2}).Draw(t, "real"))
	case Flag:
		return FlagValue(rapid.Bool().Draw(t, "flag"))
	}
	return Value{Kind: Time, Bits: 1795420800_000000000} // 2026-11-23T08:00:00Z
}

func drawTags(t *rapid.T, what string) []string {
	return rapid.SliceOfN(rapid.SampledFrom(tags), 0, 4).Draw(t, what)
}

func drawQuery(t *rapid.T, depth int) string {
	kind := rapid.IntRange(0, 8).Draw(t, "node")
	if depth == 0 {
		kind = max(kind, 3)
	}
	literal := rapid.SampledFrom([]string{`"FR"`, `"https://example.org/a"`, `"2026-11-23T10:00:00+02:00"`, `-1`, `0`, `0.5`, `2.0`, `true`, `false`})
	some := func(g *rapid.Generator[string]) string {
		text := ""
		for i, v := range rapid.SliceOfN(g, 1, 3).Draw(t, "values") {
			if i > 0 {
				text += ","
			}
			text += v
		}
		return "[" + text + "]"
	}
	name := rapid.SampledFrom(names).Draw(t, "name")
	switch kind {
	case 0, 1:
		inner := drawQuery(t, depth-1)
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			inner += "," + drawQuery(t, depth-1)
		}
		return fmt.Sprintf(`{"%s":[%s]}`, []string{"$and", "$or"}[kind], inner)
	case 2:
		return fmt.Sprintf(`{"$not":%s}`, drawQuery(t, depth-1))
	case 3, 4:
		return fmt.Sprintf(`{"%s":%s}`, name, literal.Draw(t, "value"))
	case 5:
		return fmt.Sprintf(`{"%s":{"$in":%s}}`, name, some(literal))
	case 6:
		tag := rapid.Map(rapid.SampledFrom(tags), func(tag string) string { return `"` + tag + `"` })
		return fmt.Sprintf(`{"%s":{"$contains":%s}}`, rapid.SampledFrom(sets).Draw(t, "set"), some(tag))
	case 7:
		return fmt.Sprintf(`{"%s":{"$exists":%v}}`, name, rapid.Bool().Draw(t, "exists"))
	}
	return `{}`
}

func parse(t interface{ Fatal(...any) }, query string) *target.Query {
	q, err := target.Parse(target.Default(), []byte(query))
	if err != nil {
		t.Fatal(query, err)
	}
	return q
}

// After any changes, snapshots among them, every query finds the rows that
// reading the language's description row by row finds.
func TestAgreesWithReadingRowByRow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, n := New(), make(naive)
		row := func() uint32 { return rapid.Uint32Range(0, 40).Draw(t, "row") }
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				at, name, v := row(), rapid.SampledFrom(names).Draw(t, "name"), drawValue(t)
				x.Set(at, name, v)
				n.row(at).attributes[name] = v
			},
			"remove": func(t *rapid.T) {
				at, name := row(), rapid.SampledFrom(names).Draw(t, "name")
				x.Remove(at, name)
				delete(n.row(at).attributes, name)
			},
			"tags": func(t *rapid.T) {
				at, name, clear := row(), rapid.SampledFrom(sets).Draw(t, "set"), rapid.Bool().Draw(t, "clear")
				replace, add, remove := drawTags(t, "replace"), drawTags(t, "add"), drawTags(t, "remove")
				x.ChangeTags(at, name, clear, replace, add, remove)
				n.row(at).changeTags(name, clear, replace, add, remove)
			},
			"clear": func(t *rapid.T) {
				at := row()
				x.Clear(at)
				delete(n, at)
			},
			"snapshot": func(t *rapid.T) { x = again(t, x) },
			"": func(t *rapid.T) {
				all := rapid.SliceOfNDistinct(rapid.Uint32Range(0, 60), 0, 50, rapid.ID).Draw(t, "all")
				slices.Sort(all)
				query := drawQuery(t, 3)
				q, want := parse(t, query), n
				got := x.Run(q, roaring.BitmapOf(all...)).ToArray()
				if !slices.Equal(got, want.run(q, all)) {
					t.Fatalf("%s finds %v, want %v", query, got, want.run(q, all))
				}
				if count := x.Count(q, roaring.BitmapOf(all...)); count != uint64(len(got)) {
					t.Fatalf("%s counts %d, finds %d", query, count, len(got))
				}
				if !n.agrees(x) {
					t.Fatal("values read back differ")
				}
			},
		})
	})
}

// again writes a snapshot and reads it back.
func again(t interface{ Fatal(...any) }, x *Index) *Index {
	var file bytes.Buffer
	e := NewEncoder(&file)
	x.Freeze().Encode(e)
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	d := NewDecoder(&file)
	back := Decode(d)
	if d.Err() != nil {
		t.Fatal(d.Err())
	}
	return back
}

// Columns change their shape with what is in them: bitmaps, then codes alone,
// then plain numbers, and codes again when another type comes.
func TestColumnsOfManyValues(t *testing.T) {
	const rows = 20_000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	x, n := New(), make(naive)
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
			q := parse(t, query)
			if got, want := x.Run(q, all).ToArray(), n.run(q, all.ToArray()); !slices.Equal(got, want) {
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
	if x.columns["id"].plain == nil || x.columns["user"].bitmaps != nil || x.columns["mid"].bitmaps == nil {
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

func TestTornSnapshotsAreRefused(t *testing.T) {
	x := New()
	for row := range uint32(300) {
		x.Set(row, "country", Value{Kind: Text, Text: fmt.Sprint(row % 7)})
		x.ChangeTags(row, "tags", true, []string{"a", "b"}, nil, nil)
	}
	var file bytes.Buffer
	e := NewEncoder(&file)
	x.Encode(e)
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	for at := range whole {
		d := NewDecoder(bytes.NewReader(whole[:at]))
		if Decode(d); d.Err() == nil {
			t.Fatalf("%d of %d bytes pass", at, len(whole))
		}
	}
}
