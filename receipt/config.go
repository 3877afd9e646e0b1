package receipt

import (
	"errors"
	"time"
)

// Config are the settings of one machine.
type Config struct {
	Retention time.Duration // how long counters and traces are kept after the last record of a send
	Save      time.Duration // pause between two saves of rows and cursor
	Again     time.Duration // pause before a failed append or save is repeated
}

// Default are the settings of a node.
func Default() Config {
	return Config{Retention: 30 * 24 * time.Hour, Save: 2 * time.Second, Again: 100 * time.Millisecond}
}

// Validate says which setting is out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Retention < 24*time.Hour:
		return errors.New("receipt: retention must be at least 24h")
	case c.Save <= 0 || c.Again <= 0:
		return errors.New("receipt: save and again must be positive")
	}
	return nil
}
