package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

const (
	updateRate = 50_000 // changes of one attribute a second
	freshRate  = 5_000
	updating   = 15 * time.Second
	countPause = 20 * time.Millisecond
	freshening = 10 * time.Second
)

// Living is an audience that changes while it is counted and sent to. Times are
// milliseconds.
type Living struct {
	Rate   float64 `json:"changes_per_second"` // durable and targetable
	Counts Spread  `json:"counts"`
	P99    float64 `json:"counts_p99"`
	Asked  int     `json:"asked"`
	Held   float64 `json:"held"` // pushes a second that a send was held at; 0: none ran
	Kept   float64 `json:"kept"` // those that left meanwhile
}

// updates lets a stream change one attribute of live subscriptions at a rate,
// asks five clauses all the while and, when a rate is given, sends to people at
// that rate. The stream is a crowd like the one that is there, with other values.
func (n *crowdRoom) updates(ctx context.Context, rate float64, lasting time.Duration, people int, hold float64) (*Living, error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	changes := min(int(rate*lasting.Seconds()), n.crowd.size)
	start := time.Now()
	stream := &crowdStream{crowd: &n.crowd, to: changes, change: int(start.Unix()), pace: func(done int) {
		if ahead := time.Duration(float64(done)/rate*1e9) - time.Since(start); ahead > time.Millisecond {
			pause(ctx, ahead)
		}
	}}
	var group sync.WaitGroup
	var failed [2]error
	r := &Living{Held: hold}
	done := make(chan struct{})
	group.Go(func() {
		defer close(done)
		opened, err := n.api.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON})
		if err == nil {
			_, err = n.api.Upload(ctx, opened, stream, nil)
		}
		if err == nil {
			_, err = n.api.Count(ctx, client.Target{Query: []byte(`{}`)})
		}
		r.Rate, failed[0] = float64(changes)/time.Since(start).Seconds(), err
	})
	if hold > 0 {
		group.Go(func() { r.Kept, failed[1] = n.heldSend(ctx, people, hold) })
	}
	a, taken := n.crowd.asker(uint64(start.Unix())), []float64{}
	for asking := true; asking; {
		begin := time.Now()
		if _, err := n.api.Count(ctx, client.Target{Query: []byte(fiveClauses.draw(a).json)}); err != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		taken = append(taken, milliseconds(time.Since(begin)))
		select {
		case <-done:
			asking = false
		case <-time.After(countPause):
		}
	}
	group.Wait()
	slices.Sort(taken)
	r.Counts, r.P99, r.Asked = spread(taken), percentile(taken, 0.99), len(taken)
	return r, errors.Join(failed[:]...)
}

// heldSend sends at a rate and returns that at which the pushes left.
func (n *crowdRoom) heldSend(ctx context.Context, people int, rate float64) (kept float64, err error) {
	last, err := n.sendTo(ctx, people, int(60*rate))
	if err != nil {
		return 0, err
	}
	return float64(last.Counters.Accepted) / (last.Drift.Last / 1000), nil
}

// sendTo sends to about so many of the crowd, who are a range of its unique numbers.
func (n *crowdRoom) sendTo(ctx context.Context, people, rate int) (*client.Send, error) {
	if err := n.town.sim.reset(ctx); err != nil {
		return nil, err
	}
	below := customerFirst + int64(float64(customerSpan)*float64(people)/float64(n.crowd.size))
	made, err := n.api.Send(ctx, client.SendRequest{Class: tocsin.Urgent, Message: news, Rate: rate,
		Target: client.Target{Query: json.RawMessage(fmt.Sprintf(`{"customer":{"$lt":%d}}`, below))}}, "")
	if err != nil {
		return nil, err
	}
	last, err := n.ended(ctx, made.ID)
	if err != nil {
		return nil, err
	}
	return last, balanced(last, int(last.Counters.Audience))
}

// Fresh is how soon what was acknowledged is counted and sent to.
type Fresh struct {
	Changes float64 `json:"changes_per_second"`
	P50     float64 `json:"p50"` // ms from the answer to a registration until a count has it
	P99     float64 `json:"p99"`
	Probes  int     `json:"probes"` // that were counted
	Sends   int     `json:"sends"`  // right after an answer, each of which reached it
}

// fresh registers people one after the other while others change at a rate. Each
// is counted at once, and each tenth is sent to instead.
func (n *crowdRoom) fresh(ctx context.Context, rate float64, lasting time.Duration) (*Fresh, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan struct{})
	var beside *Living
	var failed error
	go func() {
		defer close(done)
		beside, failed = n.updates(ctx, rate, lasting, 0, 0)
	}()
	r := &Fresh{}
	var taken []float64
	base := rand.Int64N(1 << 40)
	for i, changing := 0, true; changing; i++ {
		select {
		case <-done:
			changing = false
		default:
		}
		customer := 1<<50 + base + int64(i)
		query := client.Target{Query: fmt.Appendf(nil, `{"customer":%d}`, customer)}
		if _, err := n.api.PutSubscription(ctx, client.Subscription{Provider: tocsin.APNs, Token: fmt.Sprintf("%064x", customer),
			Attributes: map[string]client.Value{"customer": client.IntegerValue(customer)}}); err != nil {
			return nil, err
		}
		begin := time.Now()
		if i%10 == 0 {
			last, err := n.finish(ctx, client.SendRequest{Class: tocsin.Urgent, Target: query, Message: news})
			if err != nil {
				return nil, err
			}
			if last.Counters.Accepted != 1 {
				return nil, fmt.Errorf("a send right after a registration was acknowledged reached %d people", last.Counters.Accepted)
			}
			r.Sends++
			continue
		}
		for found := false; !found; {
			got, err := n.api.Count(ctx, query)
			if err != nil {
				return nil, err
			}
			found = got.Matched == 1
		}
		taken = append(taken, milliseconds(time.Since(begin)))
	}
	if failed != nil {
		return nil, failed
	}
	slices.Sort(taken)
	r.Changes, r.P50, r.P99, r.Probes = beside.Rate, median(taken), percentile(taken, 0.99), len(taken)
	return r, nil
}
