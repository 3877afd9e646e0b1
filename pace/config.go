package pace

import (
	"errors"
	"time"
)

// Config holds the settings of the governor and the scheduler.
type Config struct {
	// Ahead is how much work is granted and not written yet, over all routes:
	// the time in which a higher class overtakes. A route gets as much beyond
	// its room, so that claiming does not leave its connections idle.
	Ahead time.Duration

	// Probe is the wait before a refused credential tries one push again, if
	// nobody replaces it. Slow is the wait after "slow down" without a time.
	// Both double each time, up to Most.
	Probe, ProbeMost time.Duration
	Slow, SlowMost   time.Duration

	// Slices and Pushes bound what is open at a time (see Admission).
	Slices, Pushes int
}

// Default are the settings for production.
func Default() Config {
	return Config{
		Ahead: 50 * time.Millisecond,
		Probe: time.Minute, ProbeMost: time.Hour,
		Slow: time.Second, SlowMost: time.Minute,
		Slices: 20_000, Pushes: 50_000_000,
	}
}

// Validate says what is wrong with the settings.
func (c Config) Validate() error {
	if c.Ahead <= 0 || c.Probe <= 0 || c.ProbeMost < c.Probe || c.Slow <= 0 || c.SlowMost < c.Slow {
		return errors.New("pace: waits must be above 0 and none above its most")
	}
	if c.Slices < 1 || c.Pushes < 1 {
		return errors.New("pace: at least one slice and one push must be let in")
	}
	return nil
}
