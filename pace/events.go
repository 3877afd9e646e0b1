package pace

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// Ticket names one Ask. It is never used twice in a process.
type Ticket struct {
	Shard tocsin.Shard
	ID    uint64
}

// Load is what is open of one project's sends of one class on one route of a
// shard. A slice counts on one of its routes only.
type Load struct {
	Route   provider.Route
	Subject string // as in the Ask; empty while the route was never opened
	Project tocsin.ProjectID
	Class   tocsin.Class
	Slices  int
	Pushes  int // without an outcome

	Environment tocsin.Environment // of the project
}

// Event is what happened to the machine.
type Event interface{ event() }

type (
	// Started is the first event of a process: nobody knows what another before
	// it let leave in the last second. Process is another name each time, under
	// which it shares quotas with others (Consult); empty: there are none, and
	// all of a quota is its own.
	Started struct{ Process string }

	// Stopped is the last event but for the answers to what it asks for: nothing
	// is granted that has not left or never will, and nothing is asked for again.
	// What it holds is given back; after an answer it says again what is not.
	Stopped struct{}

	// Told is the answer to a Consult: what stands in the store. Wrote: that is
	// what was to be written. Failed: nothing is known, and what was to be written
	// may still be.
	Told struct {
		Subject string
		Row     Row
		Wrote   bool
		Failed  bool
	}

	// Ask wants to send N pushes, 1 to tocsin.PageSize. It waits until it is
	// granted or dropped; the rest of a smaller grant is asked for anew.
	Ask struct {
		Ticket  Ticket
		Route   provider.Route
		Subject string // provider.Provider.Subject of the route and its credential
		Project tocsin.ProjectID
		Send    tocsin.SendID
		Class   tocsin.Class
		N       int

		Environment tocsin.Environment // for what is logged and counted
	}

	// Drop takes an Ask back. One that was granted already is not known any
	// more; its pushes must be finished.
	Drop struct{ Ticket Ticket }

	// Left says of N granted pushes that Written of them left by now and the
	// others never will. It comes once for each that is not given back unused,
	// before it is finished.
	Left struct {
		Route   provider.Route
		Send    tocsin.SendID
		N       int
		Written int
	}

	// Finished accounts for granted pushes, each exactly once, answered or not.
	Finished struct {
		Route   provider.Route
		Send    tocsin.SendID
		N       int
		Unused  int           // of those: none had a Left, and none will leave
		Took    time.Duration // from the last Write to the last answer; 0: nothing was written
		Version uint64        // of the credential that they left with; 0: none left
		Proven  int           // of those: the provider's answer shows that the credential works
		Faulted int           // the credential or its configuration was refused
		// Throttled: the provider asked the whole quota subject to slow down,
		// RetryAfter after now; 0 leaves it to the machine.
		Throttled  int
		RetryAfter time.Duration
	}

	// Capacity is how many pushes of the route may be under way at once.
	// Nothing of a route is granted before the first one.
	Capacity struct {
		Route provider.Route
		N     int
	}

	// Configured sets the quota of a subject in pushes a minute; 0 is none.
	// Without it a subject has none. Sends that are not urgent rise to it in
	// Ramp; 0 is at once.
	Configured struct {
		Subject string
		Quota   int
		Ramp    time.Duration
	}

	// Replaced says that a credential is a new one: it tries one push first.
	// What left with an older version says nothing of it.
	Replaced struct {
		Credential tocsin.CredentialID
		Version    uint64
	}

	// Weighed gives a project another weight, 1 or more, among those of a class;
	// without it a project has 1.
	Weighed struct {
		Project tocsin.ProjectID
		Weight  int
	}

	// Closed says that a route is not used any more: nothing of it is asked for
	// or under way. A later Ask begins with it anew.
	Closed struct{ Route provider.Route }

	// Opened tells all that is open on a shard. It replaces what the shard told
	// before.
	Opened struct {
		Shard tocsin.Shard
		Loads []Load
	}

	// Steered sets the rate of one send that is open on a shard, in pushes a
	// minute; 0 is as fast as possible. Every shard tells what it read; the
	// highest version counts.
	Steered struct {
		Send      tocsin.SendID
		Shard     tocsin.Shard
		Version   uint64
		PerMinute int
	}

	// Unsteered says that a send that was steered is not open on a shard any
	// more: its rate is forgotten with the last one.
	Unsteered struct {
		Send  tocsin.SendID
		Shard tocsin.Shard
	}

	// Tick says that time has passed.
	Tick struct{}
)

func (Started) event()    {}
func (Stopped) event()    {}
func (Told) event()       {}
func (Ask) event()        {}
func (Drop) event()       {}
func (Left) event()       {}
func (Finished) event()   {}
func (Capacity) event()   {}
func (Configured) event() {}
func (Replaced) event()   {}
func (Weighed) event()    {}
func (Closed) event()     {}
func (Opened) event()     {}
func (Steered) event()    {}
func (Unsteered) event()  {}
func (Tick) event()       {}

// Ended reports whether nothing may leave any more.
func (h Held) Ended(now time.Time) bool { return ended(now, h.Until) }

// Effect is what the machine wants done.
type Effect interface{ effect() }

type (
	// Grant lets the first N pushes of an Ask leave now.
	Grant struct {
		Ticket Ticket
		Route  provider.Route // of the Ask, as is Send, so that one dropped too late can be finished
		Send   tocsin.SendID
		N      int
		Waited time.Duration // of its wait: because of the quota or the send's rate, not of room
		Total  time.Duration // what the subject waited for its quota so far, for whatever Ask, and the send for its rate
	}

	// Quiet says that nothing of a subject leaves before an instant, granted or
	// not: a provider asked for that, or (until now) a share ended, which stops
	// what is on its way.
	Quiet struct {
		Subject string
		Until   time.Time
	}

	// Consult asks for the row of a subject, by a linearizable read, or, with New,
	// to write that if the row still is Old (Edition 0: there is none). There is one
	// at a time of a subject, and a Told answers it.
	Consult struct {
		Subject string
		Old     Row
		New     *Row
	}

	// Held says until when this process may let anything of a subject leave: what
	// was granted and is still here by then is given back unused, as after a pause
	// of the whole process.
	Held struct {
		Subject string
		Until   time.Time
	}

	// Wake asks for a Tick at an instant; the last one asked counts.
	Wake struct{ At time.Time }
)

func (Grant) effect()   {}
func (Quiet) effect()   {}
func (Consult) effect() {}
func (Held) effect()    {}
func (Wake) effect()    {}
