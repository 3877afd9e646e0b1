package ask_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
)

var now = time.Unix(1_800_000_000, 0)

func outlook(perMinute int, ways ...ask.Way) ask.Outlook {
	return ask.Outlook{Now: now, Ways: ways, PerMinute: perMinute,
		Measured: ask.Measured{First: 10 * time.Millisecond, PerSecond: 100_000, Ways: map[string]float64{"slow": 2_000, "own": 50_000}}}
}

// Each case is worked out by hand: 10 ms until the first push, 100,000 a second
// over all ways.
func TestForecast(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	ahead := outlook(0, ask.Way{Pushes: 100_000})
	ahead.Ahead = 50_000
	for name, c := range map[string]struct {
		outlook          ask.Outlook
		first, p99, last time.Duration
		cause            ask.Cause
	}{
		"nobody":           {outlook(0), 0, 0, 0, ask.Ours},
		"one way":          {outlook(0, ask.Way{Pushes: 200_000}), 10 * ms, 1990 * ms, 2010 * ms, ask.Ours},
		"two ways, evenly": {outlook(0, ask.Way{Subject: "a", Pushes: 50_000}, ask.Way{Subject: "b", Pushes: 150_000}), 10 * ms, 1990 * ms, 2010 * ms, ask.Ours},
		// 10,000 a second for the first 5 s beside 90,000 of the other way.
		"a quota beside":    {outlook(0, ask.Way{Subject: "a", Pushes: 50_000, Quota: 10_000}, ask.Way{Subject: "b", Pushes: 90_000}), 10 * ms, 4870 * ms, 5010 * ms, ask.Quota},
		"a quota to spare":  {outlook(0, ask.Way{Subject: "a", Pushes: 1_000, Quota: 90_000}), 10 * ms, 21 * ms, 10*ms + 11111111, ask.Quota},
		"quiet":             {outlook(0, ask.Way{Subject: "a", Pushes: 100_000, Until: now.Add(3 * s)}), 3010 * ms, 4000 * ms, 4010 * ms, ask.Quota},
		"others turns":      {outlook(0, ask.Way{Subject: "a", Pushes: 100_000, Ahead: 100_000}), 10 * ms, 1990 * ms, 2010 * ms, ask.Ours},
		"others elsewhere":  {ahead, 10 * ms, 1500 * ms, 1510 * ms, ask.Ours},
		"a slow provider":   {outlook(0, ask.Way{Subject: "slow", Pushes: 4_000, Latency: 50 * ms}), 10 * ms, 1990 * ms, 2010 * ms, ask.Latency},
		"a slow way of us":  {outlook(0, ask.Way{Subject: "own", Pushes: 100_000, Latency: ms}), 10 * ms, 1990 * ms, 2010 * ms, ask.Ours},
		"a rate":            {outlook(60_000, ask.Way{Subject: "a", Pushes: 10_000}), 10 * ms, 9910 * ms, 10010 * ms, ask.Rate},
		"a rate above it":   {outlook(600_000_000, ask.Way{Subject: "a", Pushes: 200_000}), 10 * ms, 1990 * ms, 2010 * ms, ask.Ours},
		"a little of us":    {outlook(0, ask.Way{Subject: "a", Pushes: 10}), 10 * ms, 10*ms + 99_000, 10*ms + 100_000, ask.Ours},
		"ramp to its end":   {outlook(0, ask.Way{Subject: "a", Pushes: 10_000, Quota: 1_000, Ramp: ask.Ramp{Level: 0.5, Over: 10 * s}}), 10 * ms, 11160 * ms, 11260 * ms, ask.Quota},
		"half of the ramp":  {outlook(0, ask.Way{Subject: "a", Pushes: 1_000, Quota: 1_000, Ramp: ask.Ramp{Over: 20 * s}}), 10 * ms, 10*ms + time.Duration(math.Sqrt(39.6)*1e9), 10*ms + time.Duration(math.Sqrt(40)*1e9), ask.Quota},
		"what others leave": {outlook(0, ask.Way{Subject: "a", Pushes: 30_000, Quota: 30_000}, ask.Way{Subject: "b", Pushes: 70_000}), 10 * ms, 1000 * ms, 1010 * ms, ask.Ours},
	} {
		have := ask.Forecast(c.outlook)
		tolerance := time.Microsecond
		if len(c.outlook.Ways) > 0 && c.outlook.Ways[0].Ramp.Over > 0 {
			tolerance = 10 * ms // a ramp is played through in steps
		}
		near := func(have, want time.Duration) bool { return (have - want).Abs() <= tolerance }
		if !near(have.First, c.first) || !near(have.P99, c.p99) || !near(have.Last, c.last) || have.Cause != c.cause {
			t.Errorf("%s: %v, %v, %v for %v; want %v, %v, %v for %v", name, have.First, have.P99, have.Last, have.Cause, c.first, c.p99, c.last, c.cause)
		}
	}
}

// Whatever stands before a send, its drifts are in order, it takes at least what
// each limit alone makes it take, and at most their sum.
func TestForecastStaysInItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := ask.Outlook{Now: now, Ahead: rapid.IntRange(0, 1e6).Draw(t, "ahead"), Measured: ask.Measured{First: time.Millisecond,
			PerSecond: float64(rapid.IntRange(1, 1e6).Draw(t, "per second"))}}
		least, most := 0.0, float64(o.Ahead)/o.Measured.PerSecond
		all := 0
		for i := range rapid.IntRange(1, 5).Draw(t, "ways") {
			w := ask.Way{Provider: tocsin.APNs, Subject: string(rune('a' + i)), Pushes: rapid.IntRange(0, 1e6).Draw(t, "pushes"), Ahead: rapid.IntRange(0, 1e5).Draw(t, "before")}
			if rapid.Bool().Draw(t, "has quota") {
				w.Quota = float64(rapid.IntRange(1, 1e5).Draw(t, "quota"))
			}
			if rapid.Bool().Draw(t, "quiet") {
				w.Until = now.Add(time.Duration(rapid.IntRange(-5, 60).Draw(t, "until")) * time.Second)
			}
			if rapid.Bool().Draw(t, "ramps") {
				w.Ramp = ask.Ramp{Level: 0.01, Over: time.Minute}
			}
			o.Ways = append(o.Ways, w)
			if w.Pushes == 0 {
				continue
			}
			all += w.Pushes
			takes := max(0, w.Until.Sub(now).Seconds()) + float64(w.Pushes+w.Ahead)/o.Measured.PerSecond
			most += takes + w.Ramp.Over.Seconds()
			if w.Quota > 0 {
				least = max(least, float64(w.Pushes)/w.Quota)
				most += float64(w.Pushes+w.Ahead) / w.Quota
			}
			least = max(least, w.Until.Sub(now).Seconds())
		}
		least = max(least, float64(all)/o.Measured.PerSecond)
		e := ask.Forecast(o)
		last := (e.Last - o.Measured.First).Seconds()
		switch {
		case e.Pushes != all:
			t.Fatalf("%d pushes of %d", e.Pushes, all)
		case all == 0:
		case e.First < o.Measured.First || e.P99 < e.First || e.Last < e.P99:
			t.Fatalf("%v", e)
		case last < least*0.999-0.001 || last > most*1.001+0.001:
			t.Fatalf("last after %v s, want %v to %v", last, least, most)
		}
	})
}

func TestMeasuredLearns(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	m := ask.Unmeasured()
	for range 12 {
		m = m.Learn(ask.Came{Subject: "a", Pushes: 100_000, First: 5 * ms, Last: 5*ms + s, Alone: true})
	}
	if math.Abs(m.PerSecond-100_000) > 1 || math.Abs(float64(m.First-5*ms)) > float64(ms) {
		t.Fatalf("%+v", m)
	}
	for name, c := range map[string]ask.Came{
		"a small one":        {Subject: "a", Pushes: 100, Last: s, Alone: true},
		"not alone":          {Subject: "a", Pushes: 100_000, Last: 9 * s},
		"held by a quota":    {Subject: "a", Pushes: 100_000, Last: 9 * s, Waited: 8 * s, Alone: true},
		"without a duration": {Subject: "a", Pushes: 100_000, First: s, Last: s, Alone: true},
	} {
		if again := m.Learn(c); again.PerSecond != m.PerSecond || again.First != m.First {
			t.Errorf("%s teaches %+v", name, again)
		}
	}
	slow := m.Learn(ask.Came{Subject: "b", Pushes: 10_000, First: 5 * ms, Last: 5*ms + 2*s, Alone: true})
	if slow.Ways["b"] != 5_000 || math.Abs(slow.PerSecond-100_000) > 1 || m.Ways["b"] != 0 {
		t.Fatalf("%+v after %+v", slow, m)
	}
}
