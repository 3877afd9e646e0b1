package fanout

import (
	"time"

	"github.com/tocsin-push/tocsin"
)

// Machine owns one shard. Not for use by several goroutines at once.
type Machine struct {
	config Config
	shard  tocsin.Shard
	out    []Effect
}

// New starts a machine without a shard's state: it waits for Assigned. The
// incarnation names the records it writes: random, not 0, never used before.
func New(config Config, shard tocsin.Shard, incarnation uint64) *Machine {
	return &Machine{config: config, shard: shard}
}

// Step takes one event and returns what is to be done, in order.
func (m *Machine) Step(now time.Time, event Event) []Effect {
	m.out = nil
	return m.out
}
