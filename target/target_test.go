package target

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestPrintsWhatItReads(t *testing.T) {
	for _, c := range []struct{ query, printed string }{
		{`{}`, `{}`},
		{`{"country":"FR"}`, `{"country":{"$eq":"FR"}}`},
		{`{"country":"FR","tags":{"$contains":["politics"]}}`,
			`{"$and":[{"country":{"$eq":"FR"}},{"tags":{"$contains":["politics"]}}]}`},
		{`{"tags":{"$contains":"a<b"}}`, `{"tags":{"$contains":["a<b"]}}`},
		{`{"age":{"$exists":true,"$in":[1,2.5,1e3,true,"x"]}}`,
			`{"$and":[{"age":{"$exists":true}},{"age":{"$in":[1,2.5e+00,1000,true,"x"]}}]}`},
		{`{"$or":[{"$not":{"opted_in":false}},{"language":"fr_CA"}]}`,
			`{"$or":[{"$not":{"opted_in":{"$eq":false}}},{"language":{"$eq":"fr-ca"}}]}`},
		{`{"provider":{"$in":["apns","webpush"]},"zone":"Europe/Paris"}`,
			`{"$and":[{"provider":{"$in":["apns","webpush"]}},{"zone":{"$eq":"Europe/Paris"}}]}`},
	} {
		q, err := Parse(Default(), []byte(c.query))
		if err != nil {
			t.Fatalf("%s: %v", c.query, err)
		}
		if q.String() != c.printed {
			t.Errorf("%s prints as\n%s, want\n%s", c.query, q, c.printed)
		}
		again, err := Parse(Default(), []byte(q.String()))
		if err != nil || !reflect.DeepEqual(q, again) {
			t.Errorf("%s reads back as %v, %v", q, again, err)
		}
	}
}

func TestErrorsPointAtThePath(t *testing.T) {
	small := Config{Depth: 2, Clauses: 3, Values: 4, Bytes: 300, Text: 20}
	for _, c := range []struct{ query, path, found string }{
		{`[]`, "query", "an array"},
		{`{"country":null}`, "query.country", "null"},
		{`{"country":["FR"]}`, "query.country", "an array"},
		{`{"country":{"$eq":{}}}`, "query.country.$eq", "an object"},
		{`{"country":{"$like":"F"}}`, "query.country.$like", `"$like"`},
		{`{"country":{}}`, "query.country", "an empty object"},
		{`{"$and":[{"a":1},{"b":{"$in":[1,[]]}}]}`, "query.$and[1].b.$in[1]", "an array"},
		{`{"$or":[]}`, "query.$or", "an empty array"},
		{`{"$or":{}}`, "query.$or", "an object"},
		{`{"$xor":[]}`, "query.$xor", `"$xor"`},
		{`{"a":{"$in":[]}}`, "query.a.$in", "an empty array"},
		{`{"a":{"$exists":1}}`, "query.a.$exists", "1"},
		{`{"tags":{"$contains":[7]}}`, "query.tags.$contains[0]", "7"},
		{`{"Country":"FR"}`, "query.Country", `"Country"`},
		{`{"platform":"ios"}`, "query.platform", `"platform", a reserved name`},
		{`{"provider":"ios"}`, "query.provider", `"ios"`},
		{`{"opted_in":"yes"}`, "query.opted_in", `"yes"`},
		{`{"zone":{"$contains":"Paris"}}`, "query.zone.$contains", "$contains on a native field"},
		{`{"a":1,"a":2}`, "query", `"a" twice`},
		{`{"a":1e999}`, "query.a", "1e999"},
		{`{"a":1`, "query", "text that is not JSON at byte 6"},
		{`{"a":1}}`, "query", "something after its end"},
		{"{\"a\":\"\xff\"}", "query", "bytes that are not UTF-8"},
		{`{"$not":{"$not":{"$not":{}}}}`, "query.$not.$not.$not", "3 levels of logic"},
		{`{"$not":{"$not":{"a":1,"b":2}}}`, "query", "3 levels of logic"},
		{`{"a":1,"b":1,"c":1,"d":1}`, "query.d", "one clause more"},
		{`{"a":{"$in":[1,2,3,4,5]}}`, "query.a.$in[4]", "one value more"},
		{`{"a":"012345678901234567890"}`, "query.a", "21 bytes of text"},
		{`{"a":"` + strings.Repeat(" ", 300) + `"}`, "query", "308 bytes"},
	} {
		_, err := Parse(small, []byte(c.query))
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v, want an *Error", c.query, err)
			continue
		}
		if e.Path != c.path || e.Found != c.found || e.Allowed == "" {
			t.Errorf("%s: %v\nwant path %s, found %s", c.query, e, c.path, c.found)
		}
	}
}

func TestNumbersAreExact(t *testing.T) {
	for text, want := range map[string]Value{
		"9007199254740993":     {Kind: Integer, Integer: 9007199254740993},
		"-9223372036854775808": {Kind: Integer, Integer: -1 << 63},
		"1.0":                  {Kind: Integer, Integer: 1},
		"9223372036854775808":  {Kind: Real, Real: 1 << 63},
		"0.1":                  {Kind: Real, Real: 0.1},
		"-0":                   {Kind: Integer},
	} {
		if got := number(text); got != want {
			t.Errorf("%s is %+v, want %+v", text, got, want)
		}
	}
}

func TestTimesOfAnyZone(t *testing.T) {
	one, ok1 := Value{Kind: Text, Text: "2026-11-23T08:00:00+02:00"}.Time()
	two, ok2 := Value{Kind: Text, Text: "2026-11-23T06:00:00.0Z"}.Time()
	if !ok1 || !ok2 || one != two {
		t.Error(one, ok1, two, ok2)
	}
	if _, ok := (Value{Kind: Text, Text: "3000-01-01T00:00:00Z"}).Time(); ok {
		t.Error("an instant that nanoseconds cannot hold")
	}
}

func TestLimits(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	if (Config{}).Validate() == nil {
		t.Error("no limits at all pass")
	}
	deep := strings.Repeat(`{"$not":`, 12) + `{"a":1}` + strings.Repeat(`}`, 12)
	if _, err := Parse(Default(), []byte(deep)); err != nil {
		t.Error(err)
	}
	var clauses []string
	for i := range 256 {
		clauses = append(clauses, fmt.Sprintf(`"a%d":1`, i))
	}
	if _, err := Parse(Default(), []byte("{"+strings.Join(clauses, ",")+"}")); err != nil {
		t.Error(err)
	}
}

// Whatever is accepted is JSON, and prints as something that is accepted and
// prints the same again.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":{"$in":[1,2.5,"x",true]},"tags":{"$contains":["p","q"]}}`,
		`{"$or":[{"$not":{"a":{"$exists":false}}},{"$and":[{"language":"FR"},{"opted_in":true}]}]}`,
		`{"a":"2026-11-23T08:00:00Z","provider":"fcm","zone":"Asia/Tokyo"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		limits := Default()
		q, err := Parse(limits, data)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || !strings.HasPrefix(e.Path, "query") || e.Found == "" || e.Allowed == "" {
				t.Fatalf("%q: error without its parts: %v", data, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q is not JSON and passes", data)
		}
		limits.Bytes *= 8 // the printed form writes out what was short
		limits.Text *= 3
		again, err := Parse(limits, []byte(q.String()))
		if err != nil || !reflect.DeepEqual(q, again) {
			t.Fatalf("%q prints as %s and reads back as %v, %v", data, q, again, err)
		}
	})
}
