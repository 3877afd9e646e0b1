package catalogue

import "fmt"

// Config is how many names of each kind a project may have.
type Config struct {
	Attributes int
	TagSets    int
	Events     int
}

// Default returns the ceilings of a new installation.
func Default() Config { return Config{Attributes: 200, TagSets: 64, Events: 1000} }

// most is how far each may be raised: a name costs 1 to 4 bytes for every
// subscription, and those of a project stand in one row.
func most() Config { return Config{Attributes: 500, TagSets: 100, Events: 2000} }

// Validate refuses ceilings that nobody could live under or the row not hold.
func (c Config) Validate() error {
	for k := range kinds {
		if n := c.Of(Kind(k)); k > 0 && (n < 1 || n > most().Of(Kind(k))) {
			return fmt.Errorf("catalogue: %d %s a project: want 1 to %d", n, Kind(k).Plural(), most().Of(Kind(k)))
		}
	}
	return nil
}

// Of is the ceiling of a kind.
func (c Config) Of(k Kind) int {
	return [...]int{Attribute: c.Attributes, TagSet: c.TagSets, Event: c.Events}[k]
}
