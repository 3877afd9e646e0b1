package crashtest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/sim"
)

// story is what the providers know of one push.
type story struct {
	person
	received   int // not counting what was provably not processed
	accepted   int
	unanswered int // of the accepted ones
	gone       bool
	last       time.Time
}

// verdict is what came of a round, for its line.
type verdict struct {
	pushes, twice, doubtful, takenOver, traced int64
}

const tracesPerSend = 1500 // most stories of one send that are asked for

// judge compares the API's answers with the providers' ledgers. It returns
// what breaks a law.
func (w *world) judge(ctx context.Context, r *round) (v verdict, err error) {
	tags := map[string]bool{}
	var broken []error
	for _, o := range r.orders {
		tag := content.Collapse(w.project, o.id)
		tags[tag] = true
		stories, err := w.stories(tag)
		if err != nil {
			return v, err
		}
		for _, e := range w.account(o, stories, &v) {
			broken = append(broken, fmt.Errorf("%s %s: %w", o.name, o.id, e))
		}
		for _, e := range w.listed(ctx, o, stories) {
			broken = append(broken, fmt.Errorf("%s %s: %w", o.name, o.id, e))
		}
		for _, e := range w.traces(ctx, o, stories, &v) {
			broken = append(broken, fmt.Errorf("%s %s: %w", o.name, o.id, e))
		}
	}
	answer, err := w.providers.control(http.MethodGet, "/sends", nil)
	if err != nil {
		return v, err
	}
	defer answer.Body.Close()
	var seen []string
	if err := json.NewDecoder(answer.Body).Decode(&seen); err != nil {
		return v, err
	}
	for _, tag := range seen {
		if !tags[tag] {
			broken = append(broken, fmt.Errorf("L2: the providers saw a send that nobody asked for, or that was made twice: %s", tag))
		}
	}
	if err := w.known(ctx); err != nil {
		broken = append(broken, err)
	}
	if err := w.moved(ctx, r); err != nil {
		broken = append(broken, err)
	}
	if most := int64(w.deaths * shards * w.window); w.window > 0 && v.takenOver > most {
		broken = append(broken, fmt.Errorf("L3: %d accepted twice because of a take, at most %d are allowed", v.takenOver, most))
	}
	if n := len(broken); n > 10 {
		broken = append(broken[:10], fmt.Errorf("and %d more", n-10))
	}
	return v, errors.Join(broken...)
}

// known checks that no acknowledged registration is lost.
func (w *world) known(ctx context.Context) error {
	for try := 0; ; try++ {
		c, err := w.api.Count(ctx, client.Target{Query: json.RawMessage(`{"crowd":"guests"}`)})
		if err != nil || c.Count == guestPeople {
			return err
		}
		if try == 20 {
			return fmt.Errorf("L2: %d of %d imported guests are known", c.Count, guestPeople)
		}
		<-time.After(100 * time.Millisecond) // until the import is applied
	}
}

// moved checks that everybody is who he logged in as, on one shard and no other.
func (w *world) moved(ctx context.Context, r *round) error {
	for _, p := range w.crowd.movers {
		if known, err := w.api.Subscription(ctx, p.id); err != nil || known.User != r.user(p) {
			return fmt.Errorf("L2: %s logged in as %s and is %q: %w", p.id, r.user(p), known.User, err)
		}
	}
	c, err := w.api.Count(ctx, client.Target{Query: json.RawMessage(`{"crowd":"movers"}`)})
	if err == nil && c.Count != movingPeople {
		err = fmt.Errorf("L2: %d people moved, and are %d now", movingPeople, c.Count)
	}
	return err
}

// stories reads the providers' ledgers of one send, a story a token.
func (w *world) stories(tag string) (map[uint64]*story, error) {
	answer, err := w.providers.control(http.MethodGet, "/ledger/records?send="+url.QueryEscape(tag), nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	found := map[uint64]*story{}
	err = sim.ReadRecords(answer.Body, func(r *sim.Record) {
		s := found[r.Token]
		if s == nil {
			s = &story{}
			s.person = w.crowd.byToken[r.Token] // zero: of nobody whom a send is for
			found[r.Token] = s
		}
		if r.Fault != sim.Refused {
			s.received++
			if at := time.Unix(0, r.At); at.After(s.last) {
				s.last = at
			}
		}
		if r.Accepted() {
			s.accepted++
			if r.Fault == sim.Lost || r.Fault == sim.Reset {
				s.unanswered++
			}
		}
		s.gone = s.gone || r.Fault == sim.Gone
	})
	return found, err
}

// account checks the sums of a send (L1, and L3 as far as sums can tell).
func (w *world) account(o *order, stories map[uint64]*story, v *verdict) (broken []error) {
	fail := func(format string, a ...any) { broken = append(broken, fmt.Errorf(format, a...)) }
	c := *o.ended.Counters
	var received, distinct, twice, gone int64
	for _, s := range stories {
		received += int64(s.received)
		switch {
		case s.id.IsZero():
			fail("L6: a token that nobody of the audience has")
		case o.part != "any" && o.part != "" && s.part != o.part:
			fail("L6: sent to %s, who is not in the audience", s.id)
		}
		if s.accepted > 0 {
			distinct++
		}
		if s.accepted > 1 {
			twice++
		}
		if s.gone && s.accepted == 0 {
			gone++
		}
		if !o.cancelled.IsZero() && s.last.After(o.cancelled.Add(2*time.Second)) {
			fail("L4: sent to %s %v after the cancel was acknowledged", s.id, s.last.Sub(o.cancelled))
		}
	}
	v.pushes += c.Audience
	v.twice += twice
	v.doubtful += c.Doubtful
	if sum := c.Accepted + c.Gone + c.Refused + c.Expired + c.Suppressed + c.Cancelled + c.InDoubt; sum != c.Audience || c.Pending != 0 {
		fail("L1: audience %d, outcomes %d, pending %d", c.Audience, sum, c.Pending)
	}
	least := o.audience
	if o.cancel { // a shard that had not stored it yet stores nobody
		least = 0
	}
	if c.Audience < least || c.Audience > o.audience+o.more {
		fail("L1: audience %d, want %d to %d", c.Audience, o.audience, o.audience+o.more)
	}
	if !o.cancel && c.Cancelled > 0 || c.Expired+c.Suppressed > 0 {
		fail("L1: cancelled %d, expired %d, suppressed %d: nobody asked for that", c.Cancelled, c.Expired, c.Suppressed)
	}
	// Whatever a provider took is accepted or in doubt; what it was not given
	// is not accepted. A refusal after the last attempt may follow a lost answer.
	if distinct < c.Accepted || distinct > c.Accepted+c.InDoubt+c.Refused {
		fail("L3: providers accepted %d, we say %d, in doubt %d, refused %d", distinct, c.Accepted, c.InDoubt, c.Refused)
	}
	if c.Gone > gone || gone > c.Gone+c.InDoubt {
		fail("L1: providers say gone %d, we say gone %d, in doubt %d", gone, c.Gone, c.InDoubt)
	}
	if !o.cancel && received > c.Audience+c.Retried {
		fail("L3: providers received %d, and %d were claimed", received, c.Audience+c.Retried)
	}
	if twice > c.Doubtful {
		fail("L3: accepted twice %d, marked %d", twice, c.Doubtful)
	}
	if o.request.Message.OnDoubt == tocsin.Skip && twice > 0 {
		fail("L3: accepted twice %d, which skip forbids", twice)
	}
	return broken
}

// listed holds the outcome of every push against the providers' story of it.
func (w *world) listed(ctx context.Context, o *order, stories map[uint64]*story) (broken []error) {
	all := make(map[tocsin.SubscriptionID]*story, len(stories))
	for _, s := range stories {
		all[s.id] = s
	}
	seen := make(map[tocsin.SubscriptionID]bool, len(stories))
	for one, err := range w.api.Outcomes(ctx, o.id, 0) {
		if err != nil {
			return append(broken, err)
		}
		s := all[one.Subscription]
		if s == nil {
			s = new(story)
		}
		if err := s.ended(one.Outcome, one.Doubtful); err != nil {
			broken = append(broken, fmt.Errorf("%+v: %w", one, err))
		}
		if seen[one.Subscription] {
			broken = append(broken, fmt.Errorf("L1: %s has two outcomes", one.Subscription))
		}
		seen[one.Subscription] = true
	}
	if n := int64(len(seen)); n != o.ended.Counters.Audience {
		broken = append(broken, fmt.Errorf("L1: %d have an outcome, of an audience of %d", n, o.ended.Counters.Audience))
	}
	for id, s := range all {
		if s.received > 0 && !seen[id] {
			broken = append(broken, fmt.Errorf("L1: %s was sent to, and has no outcome", id))
		}
	}
	return broken
}

// ended holds an outcome against what the provider knows.
func (s *story) ended(outcome tocsin.Outcome, doubtful bool) error {
	switch {
	case s.accepted > 1 && !doubtful:
		return fmt.Errorf("L3: accepted %d times without the mark", s.accepted)
	case s.accepted == 1 && !doubtful && outcome != tocsin.Accepted:
		return fmt.Errorf("L3: accepted once, and the outcome is %s without the mark", outcome)
	case s.accepted == 0 && outcome == tocsin.Accepted:
		return errors.New("L3: no provider accepted it, and the outcome is accepted")
	case doubtful && outcome != tocsin.Accepted && outcome != tocsin.InDoubt && outcome != tocsin.Gone && outcome != tocsin.Refused:
		return fmt.Errorf("L3: doubtful, and the outcome is %s", outcome)
	}
	return nil
}

// traces asks the API for the attempts of single pushes: all whose story is not the plain one
// of a push that was accepted once, and some of those.
func (w *world) traces(ctx context.Context, o *order, stories map[uint64]*story, v *verdict) (broken []error) {
	var plain, strange []*story
	heard := map[tocsin.SubscriptionID]bool{}
	for _, s := range stories {
		heard[s.id] = true
		if s.accepted == 1 && s.received == 1 {
			plain = append(plain, s)
		} else if s.accepted != 0 || !s.gone {
			strange = append(strange, s)
		}
	}
	if o.part != "any" {
		for _, p := range w.crowd.people {
			if (o.part == "" || p.part == o.part) && !heard[p.id] {
				strange = append(strange, &story{person: p})
			}
		}
	}
	byID := func(a, b *story) int { return cmp.Compare(a.id.String(), b.id.String()) }
	slices.SortFunc(strange, byID)
	slices.SortFunc(plain, byID)
	chosen, all := strange, len(strange)
	if len(chosen) > tracesPerSend {
		random(w.seed, w.rounds).Shuffle(all, func(i, k int) { chosen[i], chosen[k] = chosen[k], chosen[i] })
		chosen = chosen[:tracesPerSend]
	}
	chosen = append(slices.Clone(chosen), plain[:min(len(plain), 20)]...)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(8)
	var takenOver int64
	for _, s := range chosen {
		group.Go(func() error {
			t, err := w.api.Trace(ctx, o.id, s.id)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				err = s.compare(t, o.cancel)
			}
			if err != nil {
				broken = append(broken, fmt.Errorf("%s: %w", s.id, err))
			} else if s.accepted > 1+s.unanswered && slices.ContainsFunc(t.Attempts, func(a client.Attempt) bool { return a.Result == "taken over" }) {
				takenOver++
			}
			return nil
		})
	}
	group.Wait()
	v.traced += int64(len(chosen))
	if n := len(chosen); all > tracesPerSend { // the others are like those
		takenOver = takenOver * int64(all) / int64(n)
	}
	v.takenOver += takenOver
	return broken
}

// compare holds the API's story of a push against the provider's. One of a
// send that was cancelled before its audience was stored may not be known.
func (s *story) compare(t client.Trace, mayMiss bool) error {
	switch {
	case !t.Targeted && s.accepted == 0 && t.Outcome == 0 && mayMiss:
		return nil
	case !t.Targeted || t.Outcome == 0:
		return fmt.Errorf("L1: in the audience, and the API says: %s", t.Explanation)
	case s.received > len(t.Attempts):
		return fmt.Errorf("L3: received %d times, claimed %d times: %+v", s.received, len(t.Attempts), t)
	}
	return s.ended(t.Outcome, t.Doubtful)
}
