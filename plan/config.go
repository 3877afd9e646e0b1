package plan

import (
	"errors"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Config are the settings of one machine.
type Config struct {
	Shards   int           // of the installation, 1 to 1,024
	Remember time.Duration // how long the identifier of a planned send is kept; at least 24 h
	Save     time.Duration // pause between two saves of rows and cursors
	Again    time.Duration // pause before a failed append or save is repeated
}

// Default are the settings of a node with the given number of shards.
func Default(shards int) Config {
	return Config{Shards: shards, Remember: 48 * time.Hour, Save: 2 * time.Second, Again: 100 * time.Millisecond}
}

// Validate says which setting is out of bounds.
func (c Config) Validate() error {
	switch {
	case c.Shards < 1 || c.Shards > tocsin.MaxShards:
		return errors.New("plan: shards must be 1 to 1,024")
	case c.Remember < 24*time.Hour:
		return errors.New("plan: remember must be at least 24h, the life of an idempotency key")
	case c.Save <= 0 || c.Again <= 0:
		return errors.New("plan: save and again must be positive")
	}
	return nil
}
