package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// With the answer to a send, before one, and kept with it: what is to be
// expected of ten people whom the provider takes two a second of.
func TestASendIsForecast(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Forecast = 10 * time.Second })
	ctx := t.Context()
	p, c := w.newProject("a")
	for i := range 10 {
		if _, err := c.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: fmt.Sprint("tok", i), User: fmt.Sprint(i % 5)}); err != nil {
			t.Fatal(err)
		}
	}
	want := &client.Forecast{Audience: []client.Reach{{Provider: tocsin.FCM, Pushes: 10}}, Pushes: 10, First: 20, P99: 4970, Last: 5020, Reason: "quota"}
	dry, err := c.DryRun(ctx, hello())
	if err != nil || dry.Status != client.SendDryRun || !dry.ID.IsZero() || !reflect.DeepEqual(dry.Forecast, want) {
		t.Fatalf("%+v, %+v, %v", dry, dry.Forecast, err)
	}
	few := hello()
	few.Target, few.Rate = client.Target{Recipients: []client.Recipient{{User: "1"}, {User: "nobody"}}}, 6
	if dry, err = c.DryRun(ctx, few); err != nil || dry.Forecast.Pushes != 2 || dry.Forecast.Last != 20_020 || dry.Forecast.Reason != "rate" {
		t.Fatalf("%+v, %v", dry.Forecast, err)
	}
	if answer, _ := w.raw("POST", "/v1/sends?dry_run=true", p.Key, `{"target":{"query":{}},"message":{"languages":{"fr":{"title":"x"}}}}`); answer.StatusCode != http.StatusOK || answer.Header.Get("Location") != "" {
		t.Fatal(answer)
	}
	if sends := w.logged(journal.Sends); len(sends) != 0 {
		t.Fatalf("%d sends were made", len(sends))
	}

	send, err := c.Send(ctx, hello(), "")
	if err != nil || !reflect.DeepEqual(send.Forecast, want) {
		t.Fatalf("%+v, %v", send.Forecast, err)
	}
	// The follower lists it from the log, which knows no forecast.
	home := tocsin.ShardOf(p.ID, send.ID.String(), testShards)
	end, err := w.journal.End(ctx, journal.Partition{Topic: journal.Sends, Shard: home})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.server.followers[home].await(ctx, end); err != nil {
		t.Fatal(err)
	}
	if send, err = c.GetSend(ctx, send.ID); err != nil || !reflect.DeepEqual(send.Forecast, want) {
		t.Fatalf("%+v, %v", send.Forecast, err)
	}
	if send, err = c.Send(ctx, few, ""); err != nil || send.Forecast != nil {
		t.Fatalf("a send to two waits for a forecast: %+v, %v", send.Forecast, err)
	}
}

func TestTheErrorOfAForecast(t *testing.T) {
	f := &client.Forecast{Last: 1500}
	ended := client.Send{Status: client.SendFinished, Drift: &client.Drift{Last: 2000}}
	if got := judged(f, &ended); got.Error == nil || *got.Error != 0.25 || f.Error != nil {
		t.Fatalf("%+v", got)
	}
	running, steered := ended, ended
	running.Status, steered.SteeredAt = client.SendSending, time.Now()
	for _, s := range []client.Send{running, steered, {Status: client.SendFinished}} {
		if got := judged(f, &s); got.Error != nil {
			t.Errorf("%+v is judged: %v", s, *got.Error)
		}
	}
	if judged(nil, &ended) != nil {
		t.Error("a forecast from nowhere")
	}
}

// pupil is a shard on which a send has ended once ended is set.
type pupil struct {
	ask.Receipts
	ended    *atomic.Bool
	counters *record.Counters
}

func (p pupil) Counters(context.Context, tocsin.SendID) (*record.Counters, error) {
	now := proto.CloneOf(p.counters)
	now.Closed = p.ended.Load()
	return now, nil
}

// class is a shard on which sends ended as they did.
type class struct {
	ask.Receipts
	all map[tocsin.SendID]*record.Counters
}

func (c class) Counters(_ context.Context, id tocsin.SendID) (*record.Counters, error) {
	return c.all[id], nil
}

// Sends that followed each other tell of the node, though they are looked at
// together; those that were under way at the same time do not.
func TestOnlySendsThatWereAloneTeach(t *testing.T) {
	for name, begins := range map[string][]time.Duration{
		"one after the other":  {0, 1200 * time.Millisecond, 2400 * time.Millisecond},
		"the last two overlap": {0, 1200 * time.Millisecond, 2 * time.Second},
		"all overlap":          {0, 900 * time.Millisecond, 1800 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			shard, now := class{all: map[tocsin.SendID]*record.Counters{}}, time.Now()
			one := newTeacher(ask.Shards{{Receipts: shard}}, storemem.New(time.Now), slog.New(slog.DiscardHandler), time.Now)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			for i, after := range begins {
				id, due := tocsin.SendID{byte(i)}, now.Add(after)
				shard.all[id] = &record.Counters{Audience: 50_000, Attempts: 50_000, Due: due.UnixNano(), FirstWrite: due.Add(10 * time.Millisecond).UnixNano(),
					Decided: []*record.Bucket{{Micros: 1_010_000, Count: 50_000}}, Closed: true}
				one.await(tocsin.ProjectID{1}, &sendRow{ID: id, Due: due.UnixNano()}, &forecast{subject: fmt.Sprint(i), alone: true})
			}
			one.await(tocsin.ProjectID{1}, &sendRow{Due: now.Add(time.Hour).UnixNano()}, &forecast{alone: true}) // keeps nobody from learning
			<-time.After(5 * time.Second)
			go one.run(ctx)
			<-time.After(time.Second)
			want := map[string]int{"one after the other": 3, "the last two overlap": 1, "all overlap": 0}
			if m := one.measured(); len(m.Ways) != want[name] {
				t.Errorf("%s: learned %+v", name, m)
			}
		})
	}
}

// A large send that has ended teaches what this node can do, and that is kept.
func TestForecastsStandOnWhatWasMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		due, ended := time.Now(), new(atomic.Bool)
		counters := &record.Counters{Audience: 50_000, Attempts: 50_000, Due: due.UnixNano(), FirstWrite: due.Add(10 * time.Millisecond).UnixNano(),
			Decided: []*record.Bucket{{Micros: 1_010_000, Count: 50_000}}}
		shards, st := ask.Shards{{Receipts: pupil{ended: ended, counters: counters}}, {Receipts: pupil{ended: ended, counters: counters}}}, storemem.New(time.Now)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		begin := func() *teacher {
			one := newTeacher(shards, st, slog.New(slog.DiscardHandler), time.Now)
			go one.run(ctx)
			synctest.Wait()
			return one
		}
		first := begin()
		first.await(tocsin.ProjectID{1}, &sendRow{Due: due.UnixNano()}, &forecast{Forecast: client.Forecast{Last: 500}, subject: "a", alone: true})
		<-time.After(10 * time.Second) // of the bubble
		if first.measured().Ways["a"] != 0 {
			t.Fatal("learned before the end")
		}
		ended.Store(true)
		<-time.After(4 * time.Second)
		m := first.measured()
		if rate := m.Ways["a"]; math.Abs(rate-100_000) > 1_000 || m.PerSecond != rate {
			t.Fatalf("%+v", m)
		}
		if again := begin().measured(); !reflect.DeepEqual(again, m) {
			t.Fatalf("%+v after a restart, was %+v", again, m)
		}
	})
	if _, err := json.Marshal(ask.Unmeasured()); err != nil {
		t.Fatal(err)
	}
}
