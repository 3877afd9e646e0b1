package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

const (
	quotaConfigured = 900_000 // pushes a minute
	quotaPhase      = 45 * time.Second
	quotaAdapt      = 30 * time.Second // after which the offer must fit what is granted
	quotaRetryAfter = time.Second      // that the provider asks for in a 429
	quotaSends      = 2                // of a million each: more than is granted in all

	// quotaInFlight is what may still arrive after a 429 was answered: it was on
	// its way, or the answer was.
	quotaInFlight = 250 * time.Millisecond
)

// quotaGranted is what the provider grants in each phase, a minute, unannounced.
var quotaGranted = [...]int{600_000, 150_000, 900_000}

// QuotaPhase is what happened while the provider granted one quota. Shares are
// of what was granted, from quotaAdapt after it changed.
type QuotaPhase struct {
	Granted   int     `json:"granted"` // a minute
	Offered   float64 `json:"offered"` // per cent
	Used      float64 `json:"used"`    // per cent
	Throttled int     `json:"throttled"`
	Broken    int     `json:"broken"` // pushes that came before a Retry-After was over, in the whole phase
}

// QuotaRun is every figure of that measurement, and of each second.
type QuotaRun struct {
	Phases    []QuotaPhase `json:"phases"`
	Offered   []int        `json:"offered"` // by second
	Accepted  []int        `json:"accepted"`
	Drift     client.Drift `json:"drift"` // of the first send, which ended
	MaySecond int          `json:"may_second"`
	Most      int          `json:"most"` // pushes in any second, by the millisecond
}

func quota(ctx context.Context, l *lab, s *Section) error {
	t, err := l.town(ctx, "press", pressProjects)
	if err != nil {
		return err
	}
	n, err := t.open(ctx, audience{provider: tocsin.FCM, project: pressLimited, size: l.scaled(million)}, quotaConfigured)
	if err != nil {
		return err
	}
	if _, err := l.steady(ctx); err != nil {
		return err
	}
	if err := t.sim.reset(ctx); err != nil {
		return err
	}
	grant := func(ctx context.Context, quota int) error {
		return t.sim.behave(ctx, tocsin.FCM, map[string]any{"quota": quota, "quota_window": "1s", "retry_after": int(quotaRetryAfter.Seconds())})
	}
	defer grant(context.WithoutCancel(ctx), 0)
	phase := l.lasting(quotaPhase)
	var sends []client.Send
	turns := []time.Time{time.Now()}
	for i, granted := range quotaGranted {
		if err := grant(ctx, granted); err != nil {
			return err
		}
		turns[i] = time.Now()
		for i == 0 && len(sends) < quotaSends {
			made, err := n.api.Send(ctx, client.SendRequest{Class: tocsin.Urgent, Target: n.everybody(n.people.size), Message: news}, "")
			if err != nil {
				return err
			}
			sends = append(sends, made)
		}
		if err := pause(ctx, phase); err != nil {
			return err
		}
		turns = append(turns, time.Now())
		progress("  %d a minute granted for %v", granted, phase)
	}
	first, err := n.api.GetSend(ctx, sends[0].ID)
	if err != nil {
		return err
	}
	for _, one := range sends {
		if _, err := n.api.Cancel(ctx, one.ID); err != nil {
			return err
		}
	}
	var pushes []arrival
	err = t.sim.records(ctx, "", func(r *sim.Record) {
		pushes = append(pushes, arrival{r.At, r.Status == 429, r.Accepted()})
	})
	if err != nil {
		return err
	}
	run := judgeQuota(pushes, turns, l.lasting(quotaAdapt))
	if first.Drift != nil {
		run.Drift = *first.Drift
	}
	quotaSection(s, run, phase, first.Status.Ended())
	return nil
}

// arrival is a push as the provider saw it.
type arrival struct {
	at        int64 // Unix nanoseconds
	throttled bool  // answered 429
	accepted  bool
}

// judgeQuota looks at all pushes by the instants at which the quota changed.
func judgeQuota(pushes []arrival, turns []time.Time, adapt time.Duration) *QuotaRun {
	slices.SortFunc(pushes, func(a, b arrival) int { return int(a.at - b.at) })
	run := &QuotaRun{MaySecond: quotaConfigured / 60, Most: mostInASecond(pushes)}
	seconds := int(turns[len(turns)-1].Sub(turns[0]).Seconds())
	run.Offered, run.Accepted = make([]int, seconds), make([]int, seconds)
	for _, p := range pushes {
		if i := int((p.at - turns[0].UnixNano()) / 1e9); i >= 0 && i < seconds {
			run.Offered[i]++
			if p.accepted {
				run.Accepted[i]++
			}
		}
	}
	broken := retryAfterBroken(pushes)
	for i, granted := range quotaGranted {
		begin, end := turns[i].UnixNano(), turns[i+1].UnixNano()
		from := begin + int64(adapt)
		phase := QuotaPhase{Granted: granted}
		var offered, accepted int
		for j, p := range pushes {
			if p.at < begin || p.at >= end {
				continue
			}
			if p.throttled {
				phase.Throttled++
			}
			if broken[j] {
				phase.Broken++
			}
			if p.at >= from {
				offered++
				if p.accepted {
					accepted++
				}
			}
		}
		may := float64(granted) / 60 * float64(end-from) / 1e9
		phase.Offered, phase.Used = 100*float64(offered)/may, 100*float64(accepted)/may
		run.Phases = append(run.Phases, phase)
	}
	return run
}

// retryAfterBroken tells which of the pushes, in order of time, came while the
// latest 429 that their sender can have known asked it to wait.
func retryAfterBroken(pushes []arrival) []bool {
	broken := make([]bool, len(pushes))
	known, last := 0, int64(0)
	for i, p := range pushes {
		for ; pushes[known].at <= p.at-int64(quotaInFlight); known++ {
			if pushes[known].throttled {
				last = pushes[known].at
			}
		}
		broken[i] = last > 0 && p.at < last+int64(quotaRetryAfter)
	}
	return broken
}

// mostInASecond is the greatest number of pushes in any second.
func mostInASecond(pushes []arrival) (most int) {
	for from, to := 0, 0; to < len(pushes); to++ {
		for pushes[to].at-pushes[from].at >= int64(time.Second) {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

func quotaSection(s *Section, run *QuotaRun, phase time.Duration, ended bool) {
	s.Title = "A quota that is not what was agreed"
	s.Text = []string{fmt.Sprintf("FCM is configured at %s a minute. The provider grants something else, %v each, without saying so: beyond it (a bucket of one second) it answers 429 with Retry-After: %d. "+
		"%d urgent sends are waiting all the time. Shares are of what was granted, from %v after each change; *too early* are pushes that arrived more than %v after a 429 and before its Retry-After was over.",
		whole(quotaConfigured), phase, int(quotaRetryAfter.Seconds()), quotaSends, quotaAdapt, quotaInFlight)}
	t := Table{Head: []string{"granted a minute", "offered, % of it", "used, % of it", "429", "too early"}}
	var offered, used []float64
	broken := 0
	for _, p := range run.Phases {
		t.add(whole(float64(p.Granted)), figure(p.Offered), figure(p.Used), whole(float64(p.Throttled)), whole(float64(p.Broken)))
		offered, used, broken = append(offered, p.Offered), append(used, p.Used), broken+p.Broken
	}
	state := "the first send so far"
	if ended {
		state = "the first send"
	}
	drift := Table{Head: []string{state, "ms"}}
	drift.add("drift of its last push", figure(run.Drift.Last))
	drift.add("of that, waiting for the quota", figure(run.Drift.QuotaWait))
	drift.add("ours", figure(run.Drift.Last-run.Drift.QuotaWait))
	granted := Series{Name: "granted"}
	for i := range run.Offered {
		now := quotaGranted[min(i*len(quotaGranted)/len(run.Offered), len(quotaGranted)-1)]
		granted.Points = append(granted.Points, Point{float64(i), float64(now) / 60})
	}
	bySecond := func(name string, counts []int) Series {
		s := Series{Name: name}
		for i, n := range counts {
			s.Points = append(s.Points, Point{float64(i), float64(n)})
		}
		return s
	}
	s.Charts = []Chart{{File: "bench-quota.svg", Title: "What is offered to a provider that grants less than agreed", X: "seconds", Y: "pushes a second", Linear: true,
		Series: []Series{granted, bySecond("offered", run.Offered), bySecond("accepted", run.Accepted)}}}
	s.Tables, s.Rounds = []Table{t, drift}, run
	s.Checks = []Check{
		atMost("offered, in the worst phase", "% of granted", 110, 0, []float64{slices.Max(offered)}),
		atLeast("used, in the worst phase", "% of granted", 90, 0, []float64{slices.Min(used)}),
		atMost("pushes before a Retry-After was over", "", 0, 0, []float64{float64(broken)}),
		atMost("most pushes in any second", "% of the configured quota", 100, 0, []float64{100 * float64(run.Most) / float64(run.MaySecond)}),
	}
}
