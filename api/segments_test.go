package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

func put(t *testing.T, c *client.Client, name, query string) client.Segment {
	t.Helper()
	s, err := c.PutSegment(t.Context(), name, json.RawMessage(query))
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return s
}

func TestSegments(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	p, c := w.newProject("a")
	_, other := w.newProject("b")
	enrol(t, c, "anna", "ben", "carla")
	for user, age := range map[string]int64{"anna": 41, "ben": 17, "carla": 30} {
		if err := c.UpdateProfile(t.Context(), user, client.ProfileUpdate{Attributes: map[string]client.Value{"age": client.IntegerValue(age)}}); err != nil {
			t.Fatal(err)
		}
	}
	made := put(t, c, "adults", `{"age":{"$gte":18}}`)
	if made.Name != "adults" || string(made.Query) != `{"age":{"$gte":18}}` || made.CreatedAt != now || made.UpdatedAt != now || made.UpdatedBy.IsZero() {
		t.Errorf("%+v", made)
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	put(t, c, "elders", `{"segment":"adults","age":{"$gt":40}}`)
	put(t, c, "adults", `{ "age": {"$gte": 18} }`) // the same
	for query, want := range map[string]string{`{"segment":"adults"}`: "anna carla", `{"segment":{"$ne":"elders"}}`: "ben carla",
		`{"segment":{"$in":["adults","elders"]},"age":{"$lt":40}}`: "carla", `{"segment":{"$nin":["adults","elders"]}}`: "ben"} {
		if got := finds(t, c, query); got != want {
			t.Errorf("%s finds %q, want %q", query, got, want)
		}
	}
	if got, err := c.Segment(t.Context(), "adults"); err != nil || got.UpdatedAt != made.UpdatedAt || fmt.Sprint(got.UsedBy) != "[elders]" {
		t.Errorf("%+v %v", got, err)
	}
	put(t, c, "adults", `{"age":{"$gte":21},"$not":{"age":41}}`)
	all, err := c.Segments(t.Context())
	if err != nil || len(all.Segments) != 2 || !all.Segments[0].UpdatedAt.Equal(now) || !all.Segments[0].CreatedAt.Equal(made.CreatedAt) || all.Segments[1].Name != "elders" ||
		fmt.Sprint(all.Segments[1].Uses) != "[adults]" {
		t.Errorf("%+v %v", all, err)
	}
	if got := finds(t, c, `{"segment":"elders"}`); got != "" {
		t.Errorf("elders are %q", got)
	}
	for _, wrong := range []struct{ name, query, field, reason string }{
		{"adults", `{"$not":{"segment":"elders"}}`, "query.$not.segment", "does not lead back to itself, as in adults, elders, adults"},
		{"self", `{"segment":"self"}`, "query.segment", "as in self, self"},
		{"lost", `{"segment":"eldesr"}`, "query.segment", "did you mean elders?"},
		{"wrong", `{"age":{"$gtr":1}}`, "query.age.$gtr", "did you mean $gt?"},
		{"listed", `{"list":"vip"}`, "query.list", "the name of a list that there is"},
	} {
		_, err := c.PutSegment(t.Context(), wrong.name, json.RawMessage(wrong.query))
		wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", wrong.field)
		if !strings.Contains(fmt.Sprint(err), wrong.reason) {
			t.Errorf("%v, want %s", err, wrong.reason)
		}
	}
	_, err = c.Count(t.Context(), client.Target{Query: json.RawMessage(`{"$or":[{"segment":"nobody"}]}`)})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "target.query.$or[0].segment")
	_, err = other.Count(t.Context(), client.Target{Query: json.RawMessage(`{"segment":"adults"}`)})
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "target.query.segment")
	wantProblem(t, c.DeleteSegment(t.Context(), "adults"), http.StatusConflict, "in_use", "")
	if err := c.DeleteSegment(t.Context(), "elders"); err != nil {
		t.Error(err)
	}
	if err := c.DeleteSegment(t.Context(), "adults"); err != nil {
		t.Error(err)
	}
	wantProblem(t, c.DeleteSegment(t.Context(), "adults"), http.StatusNotFound, "not_found", "")
	if answer, _ := w.raw("GET", "/v1/segments/Bad", p.Key, ""); answer.StatusCode != http.StatusUnprocessableEntity {
		t.Error(answer.Status)
	}
}

// What a change would make unusable elsewhere is refused, as is more than fits.
func TestSegmentsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Segments, c.Target.Clauses = 3, 8 })
	_, c := w.newProject("a")
	put(t, c, "a", `{"x":1,"y":2}`)
	put(t, c, "b", `{"segment":"a","z":{"$gt":1,"$lt":5}}`)
	put(t, c, "c", `{"segment":"b"}`)
	_, err := c.PutSegment(t.Context(), "a", json.RawMessage(`{"x":1,"y":2,"z":3,"v":4,"w":5}`))
	wantProblem(t, err, http.StatusUnprocessableEntity, "invalid", "query")
	if !strings.Contains(fmt.Sprint(err), `segment c, which uses it, could not be used any more: query.segment.$eq: found one clause more, want at most 8`) {
		t.Error(err)
	}
	_, err = c.PutSegment(t.Context(), "d", json.RawMessage(`{}`))
	wantProblem(t, err, http.StatusConflict, "limit", "")
	var long []string
	for n := range 5000 {
		long = append(long, fmt.Sprintf(`"%040d"`, n))
	}
	put(t, c, "a", `{"x":{"$in":[`+strings.Join(long, ",")+`]}}`)
	_, err = c.PutSegment(t.Context(), "c", json.RawMessage(`{"x":{"$in":[`+strings.Join(long, ",")+`]}}`))
	if err == nil {
		_, err = c.PutSegment(t.Context(), "b", json.RawMessage(`{"x":{"$in":[`+strings.Join(long, ",")+`]}}`))
	}
	wantProblem(t, err, http.StatusConflict, "limit", "")
}

// Two who each make half of a cycle do not get it.
func TestNoCycleComesAbout(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	for range 20 {
		put(t, c, "a", `{}`)
		put(t, c, "b", `{}`)
		var both sync.WaitGroup
		var errs [2]error
		for i, edge := range [][2]string{{"a", "b"}, {"b", "a"}} {
			both.Go(func() {
				_, errs[i] = c.PutSegment(t.Context(), edge[0], json.RawMessage(`{"segment":"`+edge[1]+`"}`))
			})
		}
		both.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatal(errs)
		}
		if _, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(`{"segment":{"$in":["a","b"]}}`)}); err != nil {
			t.Fatal(err)
		}
	}
}

// A send keeps the definitions that it was accepted with, a scheduled one too.
func TestSendsKeepTheirDefinitions(t *testing.T) {
	w := newWorld(t)
	_, c := w.newProject("a")
	put(t, c, "inner", `{"x":1}`)
	put(t, c, "outer", `{"segment":"inner","y":2}`)
	at := time.Now().Add(time.Hour)
	request := client.SendRequest{At: &at, Target: client.Target{Query: json.RawMessage(`{"segment":"outer"}`)}, Message: hello().Message}
	send, err := c.Send(t.Context(), request, "")
	if err != nil {
		t.Fatal(err)
	}
	put(t, c, "outer", `{"z":3}`)
	for _, name := range []string{"outer", "inner"} {
		if err := c.DeleteSegment(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	found := ""
	for i := range testShards {
		records, _, err := w.journal.Read(t.Context(), journal.Partition{Topic: journal.Sends, Shard: tocsin.Shard(i)}, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			e, err := record.Decode(r.Data)
			if err != nil {
				t.Fatal(err)
			}
			if s := e.GetSend(); s != nil && tocsin.SendID(s.Send) == send.ID {
				for _, segment := range s.Segments {
					found += segment.Name + " " + segment.Query + "\n"
				}
			}
		}
	}
	if want := "inner {\"x\":{\"$eq\":1}}\nouter {\"$and\":[{\"segment\":{\"$eq\":\"inner\"}},{\"y\":{\"$eq\":2}}]}\n"; found != want {
		t.Errorf("the send has\n%swant\n%s", found, want)
	}
	var problem *client.Problem
	if _, err := c.Send(t.Context(), request, ""); !errors.As(err, &problem) || problem.Errors[0].Field != "target.query.segment" {
		t.Error(err)
	}
}

func TestSizesOfSegments(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 20, 0, 0, time.UTC)
	var mu sync.Mutex
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	})
	_, c := w.newProject("a")
	put(t, c, "all", `{}`)
	put(t, c, "some", `{"user":"x"}`)
	for hour := range 3 {
		enrol(t, c, fmt.Sprint("user", hour))
		if err := w.server.fresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.server.sampleAll(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		now = now.Add(time.Hour)
		mu.Unlock()
	}
	got, err := c.SegmentSizes(t.Context(), "all", time.Time{})
	want, text := "12:00 1, 13:00 2, 14:00 3, 15:20 3, ", ""
	for _, s := range got.Sizes {
		text += fmt.Sprintf("%s %d, ", s.At.Format("15:04"), s.Matched)
	}
	if err != nil || text != want {
		t.Errorf("%q %v, want %q", text, err, want)
	}
	got, err = c.SegmentSizes(t.Context(), "all", now.Add(-2*time.Hour))
	if err != nil || len(got.Sizes) != 2 {
		t.Errorf("%+v %v", got, err)
	}
	// Another segment of the name begins anew.
	if err := c.DeleteSegment(t.Context(), "all"); err != nil {
		t.Fatal(err)
	}
	put(t, c, "all", `{}`)
	got, err = c.SegmentSizes(t.Context(), "all", time.Time{})
	if err != nil || len(got.Sizes) != 1 || got.Sizes[0].Count != 3 {
		t.Errorf("%+v %v", got, err)
	}
}
