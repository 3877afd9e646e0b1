package main

import (
	"testing"
	"time"
)

func TestRetryAfterIsBrokenOnlyByWhoCouldKnow(t *testing.T) {
	ms := int64(time.Millisecond)
	pushes := []arrival{{at: 1 * ms}, {at: 10 * ms, throttled: true}, {at: 200 * ms}, {at: 261 * ms}, {at: 900 * ms, throttled: true},
		{at: 1009 * ms}, {at: 1100 * ms}, {at: 1200 * ms}, {at: 1899 * ms}, {at: 1900 * ms}, {at: 5000 * ms}}
	want := []bool{false, false, false, true, true, true, false, true, true, false, false}
	for i, broken := range retryAfterBroken(pushes) {
		if broken != want[i] {
			t.Errorf("push at %d ms: broken is %v", pushes[i].at/ms, broken)
		}
	}
}

func TestMostInASecond(t *testing.T) {
	var pushes []arrival
	for i := range 30 { // 10 a second, then 5 at once
		pushes = append(pushes, arrival{at: int64(i) * int64(100*time.Millisecond)})
	}
	for range 5 {
		pushes = append(pushes, arrival{at: pushes[29].at})
	}
	if got := mostInASecond(pushes); got != 15 {
		t.Errorf("most in a second is %d", got)
	}
}

func TestQuotaPhasesAreJudgedAfterTheyAdapted(t *testing.T) {
	start := time.Unix(1000, 0)
	turns := []time.Time{start, start.Add(4 * time.Second), start.Add(8 * time.Second), start.Add(12 * time.Second)}
	var pushes []arrival
	add := func(from, to time.Duration, perSecond int, throttled bool) {
		step := time.Second / time.Duration(perSecond)
		for at := from; at < to; at += step {
			pushes = append(pushes, arrival{start.Add(at).UnixNano(), throttled, !throttled})
		}
	}
	add(0, 4*time.Second, 10_000, false)
	add(4*time.Second, 6*time.Second, 10_000, true) // adapting: not judged
	add(6*time.Second, 8*time.Second, 2000, false)
	add(8*time.Second, 12*time.Second, 7500, false)
	run := judgeQuota(pushes, turns, 2*time.Second)
	for i, want := range []QuotaPhase{{Granted: 600_000, Offered: 100, Used: 100}, {Granted: 150_000, Offered: 80, Used: 80, Throttled: 20_000}, {Granted: 900_000, Offered: 50, Used: 50}} {
		got := run.Phases[i]
		near(t, "offered", got.Offered, want.Offered)
		near(t, "used", got.Used, want.Used)
		if got.Throttled != want.Throttled {
			t.Errorf("phase %d: %d throttled", i, got.Throttled)
		}
	}
	if run.Offered[5] != 10_000 || run.Accepted[5] != 0 || run.Most != 10_000 {
		t.Errorf("by second: %v, %v; most %d", run.Offered, run.Accepted, run.Most)
	}
}
