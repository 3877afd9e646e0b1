package crashtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// order is a send that a round asks for, and what the API said of it.
type order struct {
	name     string
	key      string
	request  client.SendRequest
	audience int64 // who is in it for certain
	more     int64 // who may be in it as well
	part     string

	id        tocsin.SendID
	acked     bool
	cancel    bool      // it is to be cancelled
	steered   bool      // it is to get a rate
	last      bool      // it is asked for when everybody has moved
	cancelled time.Time // when the cancel was acknowledged; zero: not
	ended     client.Send
}

// round is what happens around one kill.
type round struct {
	number int
	orders []*order
	begun  time.Time
	cut    time.Duration // from the answer to the cancel
	killed time.Duration // from begun
	guests string        // name of the import
}

// plan draws a round. Its sends: one to everybody; one-time codes to a few
// named people, so that open and claim are one record; one to more, with values
// that no record holds; one that is cancelled; one for a later time, which is
// steered before it comes; and one to those who move from shard to shard in this
// round.
func (w *world) plan(random *rand.Rand, everybody tocsin.OnDoubt) *round {
	w.rounds++
	r := &round{number: w.rounds, cut: time.Duration(random.IntN(500)) * time.Millisecond, guests: fmt.Sprintf("guests %d", w.rounds)}
	text := func(doubt tocsin.OnDoubt) client.Message {
		return client.Message{Languages: map[string]client.Content{"en": {Title: "First results", Body: fmt.Sprintf("Round %d", w.rounds)}}, OnDoubt: doubt}
	}
	query := func(q string) client.Target { return client.Target{Query: json.RawMessage(q)} }
	named := func(n int, values map[string]string) (t client.Target, distinct int64) {
		known := map[tocsin.SubscriptionID]bool{}
		for range n {
			p := w.crowd.people[random.IntN(len(w.crowd.people))]
			t.Recipients = append(t.Recipients, client.Recipient{Subscription: p.id, Values: values})
			known[p.id] = true
		}
		return t, int64(len(known))
	}
	few, inFew := named(200, nil)
	personal, inPersonal := named(1000, map[string]string{"street": strings.Repeat("s", 400)})
	r.orders = []*order{
		{name: "everybody", part: "", request: client.SendRequest{Target: query(`{"crowd":"main"}`), Message: text(everybody)}, audience: w.crowd.size("")},
		{name: "few", part: "any", request: client.SendRequest{Class: tocsin.Transactional, Target: few, Message: text(tocsin.Skip)}, audience: inFew},
		{name: "personal", part: "any", request: client.SendRequest{Target: personal, Message: text(tocsin.Resend)}, audience: inPersonal},
		{name: "stopped", part: "tenth", cancel: true, request: client.SendRequest{Target: query(`{"part":"tenth"}`), Message: text(tocsin.Resend)}, audience: w.crowd.size("tenth")},
		{name: "later", part: "hundredth", steered: true, request: client.SendRequest{At: new(time.Now().Add(400 * time.Millisecond).UTC().Truncate(time.Millisecond)),
			Target: query(`{"part":"hundredth"}`), Message: text(tocsin.Resend)}, audience: w.crowd.size("hundredth")},
		{name: "movers", part: "movers", last: true, request: client.SendRequest{Target: query(`{"crowd":"movers"}`), Message: text(tocsin.Resend)}, audience: movingPeople},
	}
	for _, o := range r.orders {
		o.key = key(w.seed, w.rounds, o.name)
	}
	return r
}

// fire asks for everything once. What fails is asked for again by finish: the
// node may die at any time. It returns when all has been answered or failed.
func (w *world) fire(ctx context.Context, r *round) {
	r.begun = time.Now()
	everybody := r.orders[0]
	everybody.more = doomedPeople
	if _, err := w.api.PutSubscriptions(ctx, batch(w.crowd.doomed)); err == nil {
		everybody.audience, everybody.more = everybody.audience+doomedPeople, 0
	}
	var all sync.WaitGroup
	for _, o := range r.orders {
		if o.last {
			continue
		}
		all.Go(func() {
			w.ask(ctx, o)
			if o.cancel && o.acked {
				select {
				case <-time.After(r.cut):
				case <-w.node.ended:
				}
				w.stop(ctx, o)
			}
			if o.steered && o.acked {
				w.steer(ctx, o)
			}
		})
	}
	all.Go(func() { w.imported(ctx, r.guests, w.crowd.guests) })
	all.Go(func() {
		for _, p := range w.crowd.movers {
			if w.api.Identify(ctx, p.id, r.user(p)) != nil {
				return
			}
		}
	})
	all.Wait()
}

// user is whom a person logs in as.
func (r *round) user(p person) string { return fmt.Sprintf("%s in round %d", p.id, r.number) }

// ask posts a send under its key.
func (w *world) ask(ctx context.Context, o *order) error {
	made, err := w.api.Send(ctx, o.request, o.key)
	if err != nil {
		return err
	}
	if o.acked && made.ID != o.id {
		w.Errorf("%s: L5: one key made two sends, %s and %s", o.name, o.id, made.ID)
	}
	o.id, o.acked = made.ID, true
	return nil
}

// steer gives a send a rate, far above what its part needs. One that has
// finished already takes none.
func (w *world) steer(ctx context.Context, o *order) error {
	_, err := w.api.Steer(ctx, o.id, client.SendUpdate{Rate: client.AtMost(60_000_000)})
	if errors.Is(err, client.ErrConflict) {
		return nil
	}
	return err
}

// stop cancels a send. One that has finished already cannot be.
func (w *world) stop(ctx context.Context, o *order) error {
	_, err := w.api.Cancel(ctx, o.id)
	if err == nil && o.cancelled.IsZero() {
		o.cancelled = time.Now()
	}
	if errors.Is(err, client.ErrConflict) {
		return nil
	}
	return err
}

// finish asks again for all that was not acknowledged, and for what was, and
// waits until every send has ended.
func (w *world) finish(ctx context.Context, r *round) {
	w.Helper()
	for _, p := range w.crowd.movers {
		w.survive("login", func() error { return w.api.Identify(ctx, p.id, r.user(p)) })
	}
	for _, o := range r.orders {
		w.survive(o.name, func() error { return w.ask(ctx, o) })
		if o.cancel {
			w.survive("cancel", func() error { return w.stop(ctx, o) })
		}
		if o.steered {
			w.survive("steer", func() error { return w.steer(ctx, o) })
		}
	}
	w.load(ctx, r.guests, w.crowd.guests)
	deadline := time.Now().Add(time.Minute)
	for _, o := range r.orders {
		w.survive("status of "+o.name, func() error {
			for {
				now, err := w.api.GetSend(ctx, o.id)
				if errors.Is(err, client.ErrNotFound) && time.Since(r.begun) > 20*time.Second {
					w.Fatalf("L2: acknowledged, and not known: %s", o.id)
				}
				if err != nil {
					return err
				}
				if o.ended = now; now.Status.Ended() {
					return nil
				}
				if time.Now().After(deadline) {
					if now.Status == client.SendAccepted || now.Status == client.SendScheduled {
						w.Errorf("L2: acknowledged, and never begun: %s", o.id)
					}
					w.Fatalf("%s: %s has not ended after a minute: %s %+v\n%s", o.name, o.id, now.Status, *now.Counters, w.complaints())
				}
				select {
				case <-time.After(20 * time.Millisecond):
				case <-w.node.ended:
				}
			}
		})
	}
}
