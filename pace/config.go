package pace

import (
	"errors"
	"time"
)

// Config holds the settings of the governor.
type Config struct {
	// Ahead is how much work is granted beyond the room of a route, at its
	// measured rate, so that claiming does not leave its connections idle.
	Ahead time.Duration

	// Probe is the wait before a refused credential tries one push again, if
	// nobody replaces it. Slow is the wait after "slow down" without a time.
	// Both double each time, up to Most.
	Probe, ProbeMost time.Duration
	Slow, SlowMost   time.Duration
}

// Default are the settings for production.
func Default() Config {
	return Config{
		Ahead: 100 * time.Millisecond,
		Probe: time.Minute, ProbeMost: time.Hour,
		Slow: time.Second, SlowMost: time.Minute,
	}
}

// Validate says what is wrong with the settings.
func (c Config) Validate() error {
	if c.Ahead <= 0 || c.Probe <= 0 || c.ProbeMost < c.Probe || c.Slow <= 0 || c.SlowMost < c.Slow {
		return errors.New("pace: waits must be above 0 and none above its most")
	}
	return nil
}
