package api

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ask/asktest"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
	storemem "github.com/tocsin-push/tocsin/store/mem"
	"github.com/tocsin-push/tocsin/target"
)

// Every question has the same answer from another process as from this one, for
// every query of the documentation.
func TestAnswersAreTheSameFromElsewhere(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	p, c := w.newProject("a")
	file, err := os.ReadFile("../docs/targeting.md")
	if err != nil {
		t.Fatal(err)
	}
	streams := regexp.MustCompile("(?s)```ndjson\n(.*?)```").FindAllStringSubmatch(string(file), -1)
	for i, path := range []string{"/v1/imports", "/v1/events/imports"} {
		if done, text := w.raw("POST", path, p.Key, streams[i][1], "Content-Type", "application/x-ndjson"); done.StatusCode >= 300 {
			t.Fatal(text)
		}
	}
	csvFile := regexp.MustCompile("(?s)```csv\n(.*?)```").FindStringSubmatch(string(file))
	if list, problem, _ := w.put("PUT", "/v1/lists/vip", p.Key, csv, csvFile[1]); list.Imported != 3 {
		t.Fatal(list, problem)
	}
	sent, err := c.Send(ctx, hello(), "")
	if err != nil {
		t.Fatal(err)
	}
	w.delivered(p.ID, sent.ID, "anna", "ben")
	sample, err := c.Preview(ctx, client.PreviewRequest{Target: client.Target{Query: json.RawMessage(`{}`)}, Limit: 100})
	if err != nil || len(sample.Recipients) < 3 {
		t.Fatal(sample, err)
	}

	authority, st := asktest.NewAuthority(t), storemem.New(time.Now)
	home := asktest.NewHome(t, authority.Process())
	for i, shard := range w.server.Ask {
		home.Take(t, st, tocsin.Shard(i), shard.Audience, shard.Receipts)
	}
	elsewhere := asktest.From(t, st, authority.Process())
	same := func(what string, ask func(ask.Shard) (any, error)) {
		t.Helper()
		for i := range w.server.Ask {
			here, hereErr := ask(w.server.Ask[i])
			there, err := ask(elsewhere[i])
			if hereErr != nil || err != nil {
				t.Errorf("%s on shard %d: %v, from elsewhere %v", what, i, hereErr, err)
			}
			if !reflect.DeepEqual(plain(t, here), plain(t, there)) {
				t.Errorf("%s on shard %d:\n%s, from elsewhere\n%s", what, i, plain(t, here), plain(t, there))
			}
		}
	}
	at, none := time.Now(), []*record.Recipient(nil)
	queries := regexp.MustCompile("(?m)^\\|.* ?`(\\{.*\\})` \\| [a-z, ]+ \\|$").FindAllStringSubmatch(string(file), -1)
	asked := 0
	for _, text := range append(queries, []string{"", `{}`}, []string{"", fmt.Sprintf(`{"$or":[{"sent":%q},{"list":"vip"}]}`, sent.ID)}) {
		q, err := target.NewLibrary(target.Widest(), func(string) ([]byte, bool) { return []byte(`{"plan":"gold"}`), true }, nil).Parse([]byte(text[1]))
		if err != nil {
			continue // names a send that is not there
		}
		asked++
		same("count "+text[1], func(s ask.Shard) (any, error) { return s.Count(ctx, p.ID, q, none, at) })
		same("spread "+text[1], func(s ask.Shard) (any, error) { return s.Spread(ctx, p.ID, q, none, at) })
		same("preview "+text[1], func(s ask.Shard) (any, error) { return s.Preview(ctx, p.ID, q, 10, at) })
		same("explain "+text[1], func(s ask.Shard) (any, error) { return s.Explain(ctx, p.ID, q, 3, at) })
		same("cost "+text[1], func(s ask.Shard) (any, error) {
			c, err := s.Cost(ctx, p.ID, q, at, true, time.Hour)
			return c.Setup >= 0, err // about
		})
		for _, r := range sample.Recipients {
			same("verdict "+text[1], func(s ask.Shard) (any, error) { return s.Verdict(ctx, p.ID, r.Subscription, q, at) })
		}
	}
	if asked < 50 {
		t.Fatalf("%d queries", asked)
	}
	same("names", func(s ask.Shard) (any, error) {
		all, err := s.Names(ctx, p.ID)
		slices.SortFunc(all.Names, func(a, b ask.Name) int { return strings.Compare(a.Name, b.Name) })
		return all, err
	})
	same("used", func(s ask.Shard) (any, error) {
		all, err := s.Used(ctx, p.ID)
		slices.Sort(all.Known)
		slices.Sort(all.Events)
		return all, err
	})
	same("survey", func(s ask.Shard) (any, error) { return s.Survey(ctx, p.ID, ask.Name{Name: "country"}, 10) })
	same("lists", func(s ask.Shard) (any, error) { return s.Lists(ctx, p.ID, []string{"vip", "none"}) })
	same("sizes", func(s ask.Shard) (any, error) { return s.Sizes(ctx) })
	same("named", func(s ask.Shard) (any, error) { return s.Named(ctx, p.ID, []uint32{1, 0, 99}) })
	same("routes", func(s ask.Shard) (any, error) {
		return s.Routes(ctx, p.ID, []ask.Route{{Provider: tocsin.FCM}, {Provider: tocsin.APNs, Topic: "none"}})
	})
	same("await", func(s ask.Shard) (any, error) { return nil, s.Await(ctx, 1) })
	same("counters", func(s ask.Shard) (any, error) { return s.Counters(ctx, sent.ID) })
	same("trace", func(s ask.Shard) (any, error) { return s.Trace(ctx, sent.ID, 0) })
	same("no trace", func(s ask.Shard) (any, error) { return s.Trace(ctx, sent.ID, 1<<31) })
	same("reached", func(s ask.Shard) (any, error) {
		rows, err := s.Reached(ctx, p.ID, sent.ID)
		var all []uint32
		for row := range rows.All() {
			all = append(all, row)
		}
		return all, err
	})
	same("outcomes", func(s ask.Shard) (any, error) {
		var all []ask.Outcome
		closed, err := s.Outcomes(ctx, sent.ID, func(o ask.Outcome) bool { all = append(all, o); return true })
		return []any{closed, all}, err
	})
	for _, user := range []string{"anna", "ben", "nobody"} {
		key := audience.UserKey(user)
		same("profile", func(s ask.Shard) (any, error) { return s.Profile(ctx, p.ID, key) })
		same("person", func(s ask.Shard) (any, error) { return s.Person(ctx, p.ID, key) })
		same("ever of", func(s ask.Shard) (any, error) { return s.EverOf(ctx, p.ID, key) })
		same("count of people", func(s ask.Shard) (any, error) {
			return s.Count(ctx, p.ID, nil, []*record.Recipient{{Profile: key, Values: map[string]string{"a": "b"}}}, at)
		})
		same("weights", func(s ask.Shard) (any, error) {
			return s.Weights(ctx, p.ID, []*record.Upsert{{Profile: key, Tags: []*record.TagSet{{Name: "likes", Add: []string{"x"}}}}})
		})
	}
	for _, r := range sample.Recipients {
		same("subscription", func(s ask.Shard) (any, error) { return s.Subscription(ctx, p.ID, r.Subscription) })
		same("settled", func(s ask.Shard) (any, error) {
			return s.Settled(ctx, p.ID, []tocsin.SubscriptionID{r.Subscription}, true)
		})
		same("sightings", func(s ask.Shard) (any, error) {
			one, err := s.Subscription(ctx, p.ID, r.Subscription)
			if one == nil {
				one = &ask.Subscription{}
			}
			if err != nil {
				return nil, err
			}
			return s.Sightings(ctx, p.ID, []*record.Upsert{{Subscription: []byte("0123456789abcdef")}, {Subscription: r.Subscription.Bytes(), Provider: uint32(one.Route.Provider), Address: one.Address}})
		})
	}
}

// plain is an answer as it is compared: whether a list is empty or not there, and
// the zone of an instant, says nothing.
func plain(t *testing.T, answer any) string {
	t.Helper()
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
