package main

import (
	"testing"
	"time"
)

func TestSteeringIsJudgedByWhatTheProviderSaw(t *testing.T) {
	var at []int64
	add := func(from, to time.Duration, perSecond int) {
		for x := from; x < to; x += time.Second / time.Duration(perSecond) {
			at = append(at, int64(x))
		}
	}
	add(0, 3*time.Second, 100_000)
	add(3*time.Second, 3250*time.Millisecond, 50_000) // slows down
	add(3250*time.Millisecond, 6*time.Second, 10_000)
	add(6*time.Second, 6040*time.Millisecond, 1000) // what was on its way
	add(9100*time.Millisecond, 10*time.Second, 100_000)
	at3 := func(s time.Duration) turn { return turn{int64(s * time.Second), int64(s * time.Second)} }
	r := judgeSteering(at, 0, [3]turn{at3(3), at3(6), at3(9)}, 10_000)
	near(t, "fast", r.Fast, 100_000)
	near(t, "slow", r.Slow, 10_000)
	near(t, "slowed", r.Slowed, 300)
	near(t, "paused", r.Paused, 39)
	near(t, "went", r.Went, 100)

	// The answer to the last change came after the first push that it led to.
	late := at3(9)
	late.answered += int64(200 * time.Millisecond)
	r = judgeSteering(at, 0, [3]turn{at3(3), at3(6), late}, 10_000)
	near(t, "paused", r.Paused, 39)
	near(t, "went", r.Went, 0)
}
