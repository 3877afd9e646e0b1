package target

import "fmt"

// Config bounds what a query may cost.
type Config struct {
	Depth   int // levels of logic inside each other; several keys in one object are a level
	Clauses int // operators on names, all together
	Events  int // clauses on events; each takes memory while it is evaluated
	Values  int // values, all together
	Bytes   int // length of the JSON text
	Text    int // length of one text value in bytes
}

// Default returns the limits of a new installation.
func Default() Config {
	return Config{Depth: 12, Clauses: 256, Events: 32, Values: 10_000, Bytes: 256 << 10, Text: 16 << 10}
}

// Widest returns the greatest limits that Validate lets pass: whoever reads what
// was accepted before takes these, as the limits may have been others then.
func Widest() Config {
	return Config{Depth: 64, Clauses: 4096, Events: 256, Values: 100_000, Bytes: 384 << 10, Text: 64 << 10}
}

// Validate refuses limits that would refuse every query, or that a record of
// the journal could not hold.
func (c Config) Validate() error {
	most := Widest()
	for _, limit := range []struct {
		name     string
		value    int
		from, to int
	}{
		{"depth", c.Depth, 1, most.Depth},
		{"clauses", c.Clauses, 1, most.Clauses},
		{"events", c.Events, 0, most.Events},
		{"values", c.Values, 1, most.Values},
		{"bytes", c.Bytes, 2, most.Bytes},
		{"text", c.Text, 1, most.Text},
	} {
		if limit.value < limit.from || limit.value > limit.to {
			return fmt.Errorf("target: %s is %d, want %d to %d", limit.name, limit.value, limit.from, limit.to)
		}
	}
	return nil
}
