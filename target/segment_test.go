package target

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func library(limits Config, definitions map[string]string) *Library {
	return NewLibrary(limits, func(name string) ([]byte, bool) {
		text, ok := definitions[name]
		return []byte(text), ok
	}, func() []string { return slices.Sorted(maps.Keys(definitions)) })
}

func TestSegmentsBringTheirDefinitions(t *testing.T) {
	l := library(Default(), map[string]string{"adults": `{"age":{"$gte":18}}`, "readers": `{"segment":"adults","country":"FR"}`,
		"recent": `{"last_active":{"$gte":"now-30d"},"segment":"adults"}`, "vip": `{"list":"vip"}`})
	q, err := l.Parse([]byte(`{"segment":{"$in":["readers","adults"]},"$not":{"segment":"recent"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(q.Segments()); got != `map[adults:{"age":{"$gte":18}} readers:{"$and":[{"segment":{"$eq":"adults"}},{"country":{"$eq":"FR"}}]} `+
		`recent:{"$and":[{"last_active":{"$gte":"now-30d"}},{"segment":{"$eq":"adults"}}]}]` {
		t.Error(got)
	}
	if q.Segment("readers").Segment("adults") != q.Segment("adults") || q.Segment("vip") != nil {
		t.Error("a definition is not the same everywhere")
	}
	if q.size != (size{depth: 5, clauses: 9, values: 10, bytes: len(`{"segment":{"$in":["readers","adults"]},"$not":{"segment":"recent"}}`) + 3*len(`{"age":{"$gte":18}}`) +
		len(`{"segment":"adults","country":"FR"}`) + len(`{"last_active":{"$gte":"now-30d"},"segment":"adults"}`)}) {
		t.Errorf("%+v", q.size)
	}
	if !q.Segment("readers").Lasting() || q.Segment("recent").Lasting() {
		t.Error("which answers move with time is told wrongly")
	}
	other, err := library(Default(), map[string]string{"adults": `{"age":{"$gte":21}}`, "readers": `{"segment":"adults","country":"FR"}`}).Parse([]byte(`{"segment":"readers"}`))
	if err != nil || other.Segment("readers").Sum() == q.Segment("readers").Sum() {
		t.Error("another definition inside has the same sum", err)
	}
	if _, err := l.Parse([]byte(`{"segment":"vip"}`)); err != nil || l.read["vip"].Lasting() {
		t.Error("a list does not make a definition move", err)
	}
	plain, err := Parse(Default(), []byte(`{"segment":"readers"}`))
	if err != nil || plain.Segment("readers") != nil {
		t.Error("a segment is looked up nowhere", err)
	}
}

func TestWrongSegmentsAreRefusedWithThePath(t *testing.T) {
	definitions := map[string]string{"a": `{"x":1,"segment":"b"}`, "b": `{"$or":[{"y":2},{"segment":"c"}]}`, "c": `{"segment":"a"}`, "lost": `{"segment":"gone"}`,
		"wide": `{"x":{"$in":[1,2,3,4,5,6]}}`, "two": `{"segment":{"$in":["wide","wide"]}}`}
	for i := range 20 {
		definitions[fmt.Sprintf("deep%d", i)] = fmt.Sprintf(`{"segment":"deep%d"}`, i+1)
	}
	definitions["deep20"] = `{}`
	for _, c := range []struct{ name, query, want string }{
		{"", `{"$not":{"segment":"nobody"}}`, `query.$not.segment: found "nobody", want the name of a segment that there is`},
		{"", `{"segment":{"$nin":["wide","lost"]}}`, `query.segment.$nin[1]: found "lost", and in it at query.segment "gone", want the name of a segment that there is`},
		{"", `{"segment":"wied"}`, `query.segment: found "wied", want the name of a segment that there is; did you mean wide?`},
		{"", `{"segment":"a"}`, `as in a, b, c, a`},
		{"c", `{"segment":"a"}`, `query.segment: found "a", and in it at query.segment "b", and in it at query.$or[1].segment "c", want a segment that does not lead back to itself, as in c, a, b, c`},
		{"self", `{"segment":{"$ne":"self"}}`, `query.segment.$ne: found "self", want a segment that does not lead back to itself, as in self, self`},
		{"", `{"segment":"deep0"}`, `levels of logic`},
		{"", `{"segment":"deep10"}`, ``},
		{"", `{"$not":{"$not":{"segment":"deep10"}}}`, `query: found 14 levels of logic, want at most 12`},
		{"", `{"segment":"two"}`, `"wide", with which there are 14 values, want at most 13`},
	} {
		limits := Default()
		limits.Values = 13
		l := library(limits, definitions)
		_, err := l.Parse([]byte(c.query))
		if c.name != "" {
			_, err = l.Define(c.name, []byte(c.query))
		}
		if c.want == "" && err == nil {
			continue
		}
		if e := new(Error); !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) || c.want == "" {
			t.Errorf("%s: %v\nwant %s", c.query, err, c.want)
		}
	}
}
