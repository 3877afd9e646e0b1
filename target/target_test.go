package target

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
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
		{`{"platform":"ios","city":{"$startsWith":"Par"},"region":{"$ne":"FR-IDF"},"app_version":{"$version":{"$gte":"4.10"}}}`,
			`{"$and":[{"platform":{"$eq":"ios"}},{"city":{"$startsWith":"Par"}},{"region":{"$ne":"FR-IDF"}},{"app_version":{"$version":{"$gte":"4.10"}}}]}`},
		{`{"a":{"$ne":1,"$nin":["x",false]}}`, `{"$and":[{"a":{"$ne":1}},{"a":{"$nin":["x",false]}}]}`},
		{`{"a":{"$gt":1.50,"$lte":7}}`, `{"$and":[{"a":{"$gt":1.5e+00}},{"a":{"$lte":7}}]}`},
		{`{"a":{"$between":["2026-11-23T08:00:00+02:00","2026-11-23T06:00:00.5Z"]}}`,
			`{"a":{"$between":["2026-11-23T06:00:00Z","2026-11-23T06:00:00.5Z"]}}`},
		{`{"last_active":{"$gte":"now-720h"},"created":{"$lt":"today+0d"}}`, `{"$and":[{"last_active":{"$gte":"now-30d"}},{"created":{"$lt":"today"}}]}`},
		{`{"a":{"$between":["now-90m","now+2w"]}}`, `{"a":{"$between":["now-90m","now+14d"]}}`},
		{`{"a":{"$gt":"today-1w"}}`, `{"a":{"$gt":"today-7d"}}`},
		{`{"plan":"today"}`, `{"plan":{"$eq":"today"}}`},
		{`{"language":{"$startsWith":"FR"},"url":{"$startsWith":"https://"}}`, `{"$and":[{"language":{"$startsWith":"fr"}},{"url":{"$startsWith":"https://"}}]}`},
		{`{"app":{"$version":{"$gte":"4.2","$nin":["4.10.0-beta.1","4.3"]},"$exists":true}}`,
			`{"$and":[{"app":{"$version":{"$gte":"4.2"}}},{"app":{"$version":{"$nin":["4.10.0-beta.1","4.3"]}}},{"app":{"$exists":true}}]}`},
		{`{"home":{"$near":{"km":25.5,"lat":48.8566,"lon":-2}}}`, `{"home":{"$near":{"lat":4.88566e+01,"lon":-2,"km":2.55e+01}}}`},
		{`{"tags":{"$containsAny":["a","b"],"$containsAll":["c"]}}`, `{"$and":[{"tags":{"$contains":["a","b"]}},{"tags":{"$containsAll":["c"]}}]}`},
		{`{"list":"vip","segment":{"$nin":["a","b"]}}`, `{"$and":[{"list":{"$eq":"vip"}},{"segment":{"$nin":["a","b"]}}]}`},
		{`{"sent":"snd_01m844dzg00400000000000000"}`, `{"sent":{"$eq":"snd_01m844dzg00400000000000000"}}`},
		{`{"has_profile":true,"opted_in":{"$ne":false}}`, `{"$and":[{"has_profile":{"$eq":true}},{"opted_in":{"$ne":false}}]}`},
	} {
		q, err := Parse(Default(), []byte(c.query))
		if err != nil {
			t.Fatalf("%s: %v", c.query, err)
		}
		if q.String() != c.printed {
			t.Errorf("%s prints as\n%s, want\n%s", c.query, q, c.printed)
		}
		again, err := Parse(Default(), []byte(q.String()))
		if err != nil || !reflect.DeepEqual(q.Root(), again.Root()) {
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
		{`{"profile":"x"}`, "query.profile", `"profile", a reserved name`},
		{`{"platform":"symbian"}`, "query.platform", `"symbian"`},
		{`{"city":7}`, "query.city", "7"},
		{`{"region":{"$gt":"F"}}`, "query.region.$gt", `"$gt" on region`},
		{`{"app_version":{"$gt":"4"}}`, "query.app_version.$gt", `"$gt" on app_version`},
		{`{"city":{"$version":{"$eq":"4"}}}`, "query.city.$version", `"$version" on city`},
		{`{"provider":"ios"}`, "query.provider", `"ios"`},
		{`{"opted_in":"yes"}`, "query.opted_in", `"yes"`},
		{`{"zone":{"$contains":"Paris"}}`, "query.zone.$contains", `"$contains" on zone`},
		{`{"created":"2026-11-23T08:00:00Z"}`, "query.created", `"2026-11-23T08:00:00Z"`},
		{`{"last_active":{"$eq":1}}`, "query.last_active.$eq", `"$eq" on last_active`},
		{`{"last_active":{"$gt":1}}`, "query.last_active.$gt", "1"},
		{`{"list":{"$exists":true}}`, "query.list.$exists", `"$exists" on list`},
		{`{"segment":{"$in":["a","A b"]}}`, "query.segment.$in[1]", `"A b"`},
		{`{"opened":"yesterday"}`, "query.opened", `"yesterday"`},
		{`{"has_profile":{"$ne":"x"}}`, "query.has_profile.$ne", `"x"`},
		{`{"a":{"$gt":"yesterday"}}`, "query.a.$gt", `"yesterday"`},
		{`{"a":{"$lt":true}}`, "query.a.$lt", "true"},
		{`{"a":{"$gte":null}}`, "query.a.$gte", "null"},
		{`{"a":{"$between":[1]}}`, "query.a.$between", "an array of 1"},
		{`{"a":{"$between":[2,1.5]}}`, "query.a.$between", "the greatest before the least"},
		{`{"a":{"$between":["now","now-1d"]}}`, "query.a.$between", "the greatest before the least"},
		{`{"a":{"$between":[1,"now"]}}`, "query.a.$between", "a number and a time"},
		{`{"a":{"$startsWith":""}}`, "query.a.$startsWith", `""`},
		{`{"a":{"$startsWith":7}}`, "query.a.$startsWith", "7"},
		{`{"a":{"$version":{"$gte":"4.x"}}}`, "query.a.$version.$gte", `"4.x"`},
		{`{"a":{"$version":{"$between":["4.10","4.9"]}}}`, "query.a.$version.$between", "the greatest before the least"},
		{`{"a":{"$version":{"$startsWith":"4"}}}`, "query.a.$version.$startsWith", `"$startsWith" inside $version`},
		{`{"a":{"$version":{"$version":{}}}}`, "query.a.$version.$version", `"$version" inside $version`},
		{`{"a":{"$version":{}}}`, "query.a.$version", "an empty object"},
		{`{"a":{"$version":"4.2"}}`, "query.a.$version", `"4.2"`},
		{`{"zone":{"$version":{"$eq":"4"}}}`, "query.zone.$version", `"$version" on zone`},
		{`{"a":{"$near":{"lat":91,"lon":0,"km":1}}}`, "query.a.$near.lat", "91"},
		{`{"a":{"$near":{"lat":9,"lon":0}}}`, "query.a.$near", `an object without "km"`},
		{`{"a":{"$near":{"lat":9,"lon":0,"miles":1}}}`, "query.a.$near.miles", `"miles"`},
		{`{"a":{"$near":[9,0,1]}}`, "query.a.$near", "an array"},
		{`{"a":{"$containsAll":"p"}}`, "query.a.$containsAll", `"p"`},
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
		`{"a":"2026-11-23T08:00:00Z","provider":"fcm","zone":"Asia/Tokyo"}`,
		`{"a":{"$between":["now-30d","today+1d"],"$gt":2.5,"$version":{"$gte":"4.10.2-rc.1+7"}},"created":{"$lt":"2026-11-23T08:00:00+02:00"}}`,
		`{"a":{"$near":{"lat":48.8,"lon":2,"km":1e1},"$startsWith":"x","$ne":1,"$nin":[2]},"t":{"$containsAll":["p"],"$containsAny":["q"]},"has_profile":true}`,
		`{"event":{"name":"bought","where":{"amount":{"$gte":10,"$lt":1e3},"v":{"$exists":true,"$version":{"$gt":"1","$lt":"2"}}},"count":{"$gte":2},"within":"30d"}}`,
		`{"event":{"name":"read","first":{"$between":["now-9d","now"]},"last":{"$gt":"2026-11-23T08:00:00Z"},"count":0,"within":{"$lt":"now-1d","$gte":"now-2w"}}}`} {
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
		if err != nil || !reflect.DeepEqual(q.Root(), again.Root()) {
			t.Fatalf("%q prints as %s and reads back as %v, %v", data, q, again, err)
		}
	})
}

// A word that nobody knows brings the one that may have been meant.
func TestSuggestions(t *testing.T) {
	for query, hint := range map[string]string{
		`{"a":{"$gtr":1}}`:                     "did you mean $gt?",
		`{"a":{"$startswith":"x"}}`:            "did you mean $startsWith?",
		`{"a":{"$contain":"x"}}`:               "did you mean $contains?",
		`{"$adn":[{}]}`:                        "did you mean $and?",
		`{"a":{"$version":{"$betwen":["1"]}}}`: "did you mean $between?",
	} {
		_, err := Parse(Default(), []byte(query))
		if err == nil || !strings.HasSuffix(err.Error(), hint) {
			t.Errorf("%s: %v, want at its end: %s", query, err, hint)
		}
	}
	if word, ok := Nearest("contry", []string{"city", "country", "counter"}); word != "country" || !ok {
		t.Error(word, ok)
	}
	if word, ok := Nearest("plan", []string{"age", "country"}); ok {
		t.Error(word)
	}
}

func TestVersionsInOrder(t *testing.T) {
	// Semantic Versioning 2.0.0, section 11, and numbers that are not written.
	order := []string{"0", "0.9", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
		"1.0.0", "1.0.0.0.1", "1.2", "1.10", "4.9.9999", "4.10.2", "4.10.10", "20261123.1"}
	for i, a := range order {
		for j, b := range order {
			v, ok1 := ParseVersion(a)
			w, ok2 := ParseVersion(b)
			if got := v.Compare(w); !ok1 || !ok2 || got != cmp.Compare(i, j) {
				t.Errorf("%s against %s is %d", a, b, got)
			}
		}
	}
	v, _ := ParseVersion("4.2+build.7")
	if w, _ := ParseVersion("4.2.0.0"); v.Compare(w) != 0 {
		t.Error("what is not written is not 0")
	}
	for _, text := range []string{"", "v1", "1.", ".1", "1..2", "1.2 beta", "1.2-", "1-a..b", "1+", "-1", "1.2.3.4.5.6.7.8.9", "12345678901234567890", "１"} {
		if _, ok := ParseVersion(text); ok {
			t.Errorf("%q is a version", text)
		}
	}
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 3, 29, 12, 30, 0, 0, time.UTC)
	paris := place(t, "Europe/Paris") // put its clocks forward at 2 this morning
	for text, want := range map[string]string{
		"now":                  "2026-03-29T12:30:00Z",
		"now-12h":              "2026-03-29T00:30:00Z",
		"now-1d":               "2026-03-28T12:30:00Z",
		"now+90s":              "2026-03-29T12:31:30Z",
		"today":                "2026-03-28T23:00:00Z",
		"today+1d":             "2026-03-29T22:00:00Z", // 23 hours later
		"today-1w":             "2026-03-21T23:00:00Z",
		"2026-11-23T08:00:00Z": "2026-11-23T08:00:00Z",
	} {
		v, ok := moment(text)
		if got := time.Unix(0, v.At(now, paris)).UTC().Format(time.RFC3339); !ok || got != want {
			t.Errorf("%s is %s, %v; want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "nowish", "now-", "now-d", "now-30", "now- 1d", "now--1d", "now-1y", "now-1.5d", "today-1h", "today-99999999999999999999d",
		"now-36601d", "now-6000w", "now-9223372036854775807w", "Now", "2026-11-23", "2262-01-01T00:00:00Z"} {
		if v, ok := moment(text); ok {
			t.Errorf("%q is %+v", text, v)
		}
	}
}

func place(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

// The first instant of a day has no earlier one of the same date before it,
// whatever clocks do around midnight: every day of some years where they did.
func TestDaysBegin(t *testing.T) {
	for name, year := range map[string]int{"America/Sao_Paulo": 2017, "America/Havana": 2026, "Pacific/Apia": 2011, "Asia/Beirut": 2024, "Africa/Cairo": 2014,
		"Asia/Tehran": 2021, "America/Godthab": 2024, "Europe/Paris": 2026, "Pacific/Kiritimati": 1994, "UTC": 2026} {
		zone := place(t, name)
		for day := range 366 {
			now := time.Date(year, 1, 1, 15, 0, 0, 0, time.UTC).AddDate(0, 0, day)
			got := startOfDay(now, 0, zone)
			y, m, d := now.In(zone).Date()
			before := got.Add(-time.Nanosecond).In(zone)
			if y1, m1, d1 := got.In(zone).Date(); y1 != y || m1 != m || d1 != d || before.Day() == d || now.Sub(got) > 25*time.Hour {
				t.Fatalf("%s: the day of %v begins at %v", name, now.In(zone), got.In(zone))
			}
		}
	}
	samoa := place(t, "Pacific/Apia") // had no 30 December 2011
	if got := startOfDay(time.Date(2011, 12, 29, 12, 0, 0, 0, samoa), 1, samoa); got.In(samoa).Day() != 31 {
		t.Error(got.In(samoa))
	}
}

func TestNamesOfSets(t *testing.T) {
	l := library(Default(), map[string]string{"old": `{"list":"archive","$not":{"segment":"new"}}`, "new": `{"sent":"snd_00000000000000000000000001"}`})
	q, err := l.Parse([]byte(`{"$or":[{"list":{"$nin":["vip","all"]}},{"segment":"old"}],"list":{"$ne":"vip"},"opened":"snd_00000000000000000000000002"}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(q.Named()) != 4 {
		t.Error(q.Named())
	}
	if path := q.Named()[Member{List, "vip"}]; path != "query.$or[0].list.$nin[0]" {
		t.Error(path)
	}
	want := []Member{{List, "all"}, {List, "archive"}, {List, "vip"}, {Segment, "new"}, {Segment, "old"}, {Sent, "snd_00000000000000000000000001"}, {Opened, "snd_00000000000000000000000002"}}
	if got := q.Members(); !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}
