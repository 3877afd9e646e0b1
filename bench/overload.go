package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/sim"
)

const (
	overloadLasting = 30 * time.Second
	overloadTimes   = 4      // the rate that it can send
	overloadSize    = 10_000 // recipients of each send
	urgentEvery     = 500 * time.Millisecond
	recoverAfter    = 25 * time.Second // then five seconds show whether all is normal

	throughputKept = 75 // per cent, at least
	urgentTimes    = 2  // at most
)

// Overload is a run of that measurement. Rates are pushes a second as the
// provider accepted them, times are milliseconds.
type Overload struct {
	Rated      float64 `json:"rated"`
	Offered    float64 `json:"offered"`
	Sustained  float64 `json:"sustained"`
	Sends      int     `json:"sends"` // offered, of overloadSize
	SendsTaken int     `json:"sends_taken"`
	Singles    float64 `json:"singles"` // offered, a second
	SinglesIn  int     `json:"singles_taken"`
	Refused    int     `json:"refused"`
	Bare       int     `json:"refused_without_retry_after"`
	Failed     int     `json:"failed"`
	Alone      float64 `json:"urgent_p99_alone"`
	Urgent     float64 `json:"urgent_p99"`
	Before     uint64  `json:"memory_of_one_send"` // resident, at most, bytes
	Memory     uint64  `json:"memory"`
	Drained    float64 `json:"drained"` // ms after the end, when the last push of the load arrived
	Normal     float64 `json:"singles_p99_before"`
	Again      float64 `json:"singles_p99_after"`
}

func overload(ctx context.Context, l *lab, s *Section) error {
	n, err := l.large(ctx)
	if err != nil {
		return err
	}
	urgent, err := n.town.open(ctx, audience{provider: tocsin.APNs, project: nationUrgent, size: l.scaled(overloadSize)}, 0)
	if err != nil {
		return err
	}
	if _, err := l.steady(ctx); err != nil {
		return err
	}
	if l.broke == 0 { // transactional has not found it in this run
		if _, err := l.steps(ctx, n, true); err != nil {
			return err
		}
	}
	var rounds []Overload
	for l.more(len(rounds)) {
		r, err := l.overload(ctx, n, urgent)
		if err != nil {
			return n.town.failure(err)
		}
		rounds = append(rounds, *r)
	}
	overloadSection(s, rounds)
	return nil
}

func (l *lab) overload(ctx context.Context, n, urgent *newsroom) (*Overload, error) {
	t, r := n.town, &Overload{Singles: l.broke}
	rated, err := n.measure(ctx, news, l.scaled(million))
	if err != nil {
		return nil, err
	}
	r.Rated, r.Before = rated.Rate, rated.Memory
	quietly := max(100, l.broke/10)
	before, err := l.load(ctx, n, quietly, l.lasting(5*time.Second), nil)
	if err != nil {
		return nil, err
	}
	r.Normal = before.WireP99
	if err := t.sim.reset(ctx); err != nil {
		return nil, err
	}
	if r.Alone, err = urgent.alarms(ctx, l.lasting(10*time.Second)); err != nil {
		return nil, err
	}
	if err := l.quiet(ctx); err != nil {
		return nil, err
	}
	if err := t.sim.reset(ctx); err != nil {
		return nil, err
	}
	if err := resetPeak(t.pid); err != nil {
		return nil, err
	}

	lasting, size := l.lasting(overloadLasting), n.people.cohorts[0]
	r.Offered = overloadTimes * r.Rated
	sends, err := n.bulks(poisson(r.Offered/float64(size), lasting), size)
	if err != nil {
		return nil, err
	}
	singles, err := n.singles(poisson(r.Singles, lasting))
	if err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	var shots [2][]shot
	var errs [3]error
	start := time.Now()
	for i, o := range []*offer{sends, singles} {
		o.connections = 100
		group.Go(func() { shots[i], _, errs[i] = o.fire(ctx) })
	}
	group.Go(func() { r.Urgent, errs[2] = urgent.alarms(ctx, lasting) })
	group.Wait()
	end := time.Now()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	r.Sends = len(shots[0])
	r.SendsTaken, r.SinglesIn = r.count(shots[0]), r.count(shots[1])
	if r.Memory, err = peakMemory(t.pid); err != nil {
		return nil, err
	}
	progress("  %d of %d sends taken, %d of %d single ones; urgent p99 %.0f ms against %.0f alone; %d MiB", r.SendsTaken, r.Sends, r.SinglesIn, len(shots[1]), r.Urgent, r.Alone, r.Memory>>20)
	if err := pause(ctx, l.lasting(recoverAfter)-time.Since(end)); err != nil {
		return nil, err
	}
	last, taken := int64(0), 0
	from, to := start.Add(lasting/10).UnixNano(), start.Add(lasting).UnixNano()
	if err := t.sim.records(ctx, "", func(one *sim.Record) {
		if one.Accepted() && one.At >= from && one.At < to {
			taken++
		}
		last = max(last, one.At)
	}); err != nil {
		return nil, err
	}
	r.Sustained, r.Drained = perSecond(taken, from, to), float64(last-end.UnixNano())/1e6
	after, err := l.load(ctx, n, quietly, l.lasting(5*time.Second), nil)
	r.Again = after.WireP99
	return r, err
}

// count adds up the answers, and returns how many sends were taken.
func (r *Overload) count(shots []shot) (taken int) {
	for _, s := range shots {
		switch s.status {
		case http.StatusAccepted:
			taken++
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			r.Refused++
			if !s.retryAfter {
				r.Bare++
			}
		default:
			r.Failed++
		}
	}
	return taken
}

// bulks is an offer of normal sends to the first people.
func (n *newsroom) bulks(arrivals []time.Duration, size int) (*offer, error) {
	o, err := n.singles(arrivals)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(n.town.url)
	if err != nil {
		return nil, err
	}
	body := `{"target":{"query":` + n.people.target(size) + `},"message":{"languages":{"en":{"title":"` + pushTitle + `","body":"` + pushBody + `"}}}}`
	run := fmt.Sprint("bulk-", time.Now().UnixNano())
	o.request = func(b []byte, i int) []byte { return n.post(b, base.Host, run, i, body) }
	return o, nil
}

// alarms sends urgently to everybody, again and again, and returns the 99th
// percentile of all their pushes, in milliseconds from the instant at which
// each send was to be made.
func (n *newsroom) alarms(ctx context.Context, lasting time.Duration) (float64, error) {
	start := time.Now()
	times := max(1, int(lasting/urgentEvery))
	made, errs := make([]client.Send, times), make([]error, times)
	var group sync.WaitGroup
	for i := range times {
		if err := pause(ctx, time.Until(start.Add(time.Duration(i)*urgentEvery))); err != nil {
			return 0, err
		}
		group.Go(func() {
			made[i], errs[i] = n.api.Send(ctx, client.SendRequest{Class: tocsin.Urgent, Target: n.everybody(n.people.size), Message: news}, "")
		})
	}
	group.Wait()
	var late []float64
	for i, send := range made {
		if errs[i] != nil {
			return 0, errs[i]
		}
		if _, err := n.ended(ctx, send.ID); err != nil {
			return 0, err
		}
		due := start.Add(time.Duration(i) * urgentEvery).UnixNano()
		if err := n.town.sim.records(ctx, content.Collapse(n.project.ID, send.ID), func(r *sim.Record) {
			late = append(late, float64(r.At-due)/1e6)
		}); err != nil {
			return 0, err
		}
	}
	if len(late) != times*n.people.size {
		return 0, fmt.Errorf("%d urgent pushes arrived of %d", len(late), times*n.people.size)
	}
	slices.Sort(late)
	return percentile(late, 0.99), nil
}

func overloadSection(s *Section, rounds []Overload) {
	s.Title = "Overload: four times what it can send"
	s.Text = []string{strings.Join([]string{
		fmt.Sprintf("For %v, sends of %s recipients arrive at %d times the rate that a send to a million reaches alone, with single sends at the rate where they broke; another project sends urgently to 10,000 every %v.", overloadLasting, whole(overloadSize), overloadTimes, urgentEvery),
		fmt.Sprintf("*Sustained* is what the provider accepted after the first tenth. %v after the end, single sends at a tenth of that rate show whether all is normal again.", recoverAfter)}, " ")}
	t := Table{Head: []string{"", "median (least - most)"}}
	row := func(name string, figure func(*Overload) float64) { t.add(name, ranged(of(rounds, figure))) }
	row("rated, pushes/s", func(r *Overload) float64 { return r.Rated })
	row("offered, pushes/s", func(r *Overload) float64 { return r.Offered })
	row("sustained, pushes/s", func(r *Overload) float64 { return r.Sustained })
	row("sends offered", func(r *Overload) float64 { return float64(r.Sends) })
	row("sends taken", func(r *Overload) float64 { return float64(r.SendsTaken) })
	row("single sends/s offered", func(r *Overload) float64 { return r.Singles })
	row("single sends taken", func(r *Overload) float64 { return float64(r.SinglesIn) })
	row("refused with 429 or 503", func(r *Overload) float64 { return float64(r.Refused) })
	row("urgent p99 alone, ms", func(r *Overload) float64 { return r.Alone })
	row("urgent p99 in the overload, ms", func(r *Overload) float64 { return r.Urgent })
	row("memory of the node in one send to a million, MiB", func(r *Overload) float64 { return float64(r.Before >> 20) })
	row("at most in the overload, MiB", func(r *Overload) float64 { return float64(r.Memory >> 20) })
	row("last push after the end, ms", func(r *Overload) float64 { return r.Drained })
	row("single sends p99 before, ms", func(r *Overload) float64 { return r.Normal })
	row("and after, ms", func(r *Overload) float64 { return r.Again })
	s.Tables, s.Rounds = []Table{t}, rounds
	s.Checks = []Check{
		atLeast("throughput that goes on", "% of rated", throughputKept, 0, of(rounds, func(r *Overload) float64 { return 100 * r.Sustained / r.Rated })),
		atMost("urgent p99", "times that alone", urgentTimes, 0, of(rounds, func(r *Overload) float64 { return r.Urgent / r.Alone })),
		atMost("refusals without Retry-After, and failures", "", 0, 0, of(rounds, func(r *Overload) float64 { return float64(r.Bare + r.Failed) })),
		atMost("single sends p99, half a minute later", "times that before", 2, 0, of(rounds, func(r *Overload) float64 { return r.Again / r.Normal })),
	}
}
