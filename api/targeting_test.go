package api

import (
	"cmp"
	"encoding/json"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// Every example of docs/targeting.md finds whom it says, and every operator has
// one.
func TestTargetingExamples(t *testing.T) {
	file, err := os.ReadFile("../docs/targeting.md")
	if err != nil {
		t.Fatal(err)
	}
	document := string(file)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *Config, d *Deps) { d.Now = func() time.Time { return now } })
	p, c := w.newProject("a")
	streams := regexp.MustCompile("(?s)```ndjson\n(.*?)```").FindAllStringSubmatch(document, -1)
	for i, path := range []string{"/v1/imports", "/v1/events/imports"} {
		_, text := w.raw("POST", path, p.Key, streams[i][1], "Content-Type", "application/x-ndjson")
		var done client.Import
		if err := json.Unmarshal([]byte(text), &done); err != nil || done.Imported != []int64{4, 7}[i] || done.Bad != 0 {
			t.Fatal(text)
		}
	}
	csvFile := regexp.MustCompile("(?s)```csv\n(.*?)```").FindStringSubmatch(document)
	if list, problem, _ := w.put("PUT", "/v1/lists/vip", p.Key, csv, csvFile[1]); list.Imported != 3 {
		t.Fatal(list, problem)
	}
	hello := hello()
	earlier, err := c.Send(t.Context(), hello, "")
	if err != nil {
		t.Fatal(err)
	}
	w.delivered(p.ID, earlier.ID, "anna", "ben")
	w.opens(p.ID, earlier.ID, "anna")
	document = strings.ReplaceAll(document, "snd_01m7zbfx000000000000000001", earlier.ID.String())
	for _, s := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `\\{\"query\": (\\{.*\\})\\}` \\|$").FindAllStringSubmatch(document, -1) {
		put(t, c, s[1], s[2])
	}
	examples := regexp.MustCompile("(?m)^\\|.* ?`(\\{.*\\})` \\| ([a-z, ]+) \\|$").FindAllStringSubmatch(document, -1)
	asked := ""
	for _, e := range examples {
		got, err := c.Preview(t.Context(), client.PreviewRequest{Target: client.Target{Query: json.RawMessage(e[1])}})
		if err != nil {
			t.Errorf("%s: %v", e[1], err)
			continue
		}
		var names []string
		for _, r := range got.Recipients {
			names = append(names, cmp.Or(r.User, "anonymous"))
		}
		if slices.Sort(names); len(names) == 0 {
			names = []string{"nobody"}
		}
		if found := strings.Join(names, ", "); found != e[2] {
			t.Errorf("%s finds %s, the document says %s", e[1], found, e[2])
		}
		asked += e[1]
	}
	for _, word := range strings.Fields(`$and $or $not $eq $ne $in $nin $gt $gte $lt $lte $between $startsWith $version $near
		$contains $containsAny $containsAll $exists provider platform language zone region city app_version opted_in has_profile created last_active
		list segment sent opened event name count within where first last`) {
		if !strings.Contains(asked, `"`+word+`"`) {
			t.Errorf("%s has no example", word)
		}
	}
	if len(examples) < 50 {
		t.Errorf("%d examples were found in the document", len(examples))
	}
	count, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(`{"contry":"FR","topics":{"$contains":"x"},"zzzzzz":1,"zone":"x","event":{"name":"raed"}}`)})
	if want := []string{"no subscription has a value for contry; did you mean country?", "no subscription has a value for zzzzzz", "nobody did raed; did you mean read?"}; err != nil ||
		!slices.Equal(count.Hints, want) || !strings.Contains(document, "\n"+want[0]+"\n") {
		t.Errorf("hints %q, %v", count.Hints, err)
	}
	w.documented(t, p.Key, document)
	wrong := regexp.MustCompile("```text\n(.*)\n```").FindStringSubmatch(document)[1]
	_, err = c.Count(t.Context(), client.Target{Query: json.RawMessage(`{"$and":[{},{"age":{"$gtr":1}}]}`)})
	told := err.Error()
	for _, part := range strings.Split(wrong, "...") {
		if !strings.Contains(told, strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(part, "target.query.$and[1].age.$gtr: "), ", "))) {
			t.Errorf("the error is %q, the document says %q", told, wrong)
		}
	}
}

// documented asks what the document asks to be explained, and compares the answers.
func (w *world) documented(t *testing.T, key, document string) {
	t.Helper()
	pairs := regexp.MustCompile("(?s)```json\n(\\{[^`]*)```\n\n```json\n(\\{[^`]*)```").FindAllStringSubmatch(document, -1)
	for i, path := range []string{"explain", "verdict"} {
		_, text := w.raw("POST", "/v1/targets/"+path, key, pairs[i][1], "Content-Type", "application/json")
		var got, want any
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(text)
		}
		if err := json.Unmarshal([]byte(pairs[i][2]), &want); err != nil {
			t.Fatal(err)
		}
		if all, is := got.(map[string]any)["subscriptions"].([]any); is {
			delete(all[0].(map[string]any), "subscription") // drawn
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s answers %s", path, text)
		}
	}
}
