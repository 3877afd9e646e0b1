package audience

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

// Directory is the machine that keeps an address to one live subscription, and
// an identifier to one shard: it holds what a shard registers against the other
// shards, and appends what follows. The tables that the shards have anyway are
// the directory; nothing is kept beside them. Two registrations that did not
// see each other are seen by whoever looks later, for he looks behind the end
// that the other's log had after his own was applied.
//
// Step holds no clock and does no I/O.
type Directory struct {
	shard  tocsin.Shard
	page   Page
	looked bool      // elsewhere
	append []Verdict // what is still to be made durable
	again  time.Time // not before; zero: nothing failed
}

// directoryPause is how long it waits after a failure.
const directoryPause = 100 * time.Millisecond

// NewDirectory is for the registrations of one shard.
func NewDirectory(shard tocsin.Shard) *Directory { return &Directory{shard: shard} }

// DirectoryEvent is what can happen to a Directory.
type DirectoryEvent interface{ directoryEvent() }

// DirectoryEffect is what a Directory asks for, one at a time.
type DirectoryEffect interface{ directoryEffect() }

type (
	// Registered brings what Fresh returned, while the machine is idle.
	Registered struct{ Page Page }

	// Looked answers Look.
	Looked struct {
		Rivals []ask.Rival
		Failed bool
	}

	// Decided answers Decide. Failed: it may be in the log or not.
	Decided struct{ Failed bool }

	// DirectoryTick comes after RetryAt.
	DirectoryTick struct{}
)

func (Registered) directoryEvent()    {}
func (Looked) directoryEvent()        {}
func (Decided) directoryEvent()       {}
func (DirectoryTick) directoryEvent() {}

type (
	// Look asks every other shard for rivals, once it has applied what its log
	// held when the effect came.
	Look struct{ Page Page }

	// Decide appends to a shard's log; it may be repeated.
	Decide struct{ Verdict }

	// Settled lets go of a page. The machine is idle again.
	Settled struct{ Page Page }

	// RetryAt asks for a DirectoryTick.
	RetryAt struct{ At time.Time }
)

func (Look) directoryEffect()    {}
func (Decide) directoryEffect()  {}
func (Settled) directoryEffect() {}
func (RetryAt) directoryEffect() {}

// Verdict is what one shard is to be told of one project.
type Verdict struct {
	Shard   tocsin.Shard
	Scope   record.Scope
	Changes []*record.Change
}

// Step takes one event and returns the next effect, nil when there is none.
func (d *Directory) Step(now time.Time, e DirectoryEvent) DirectoryEffect {
	switch e := e.(type) {
	case Registered:
		d.page, d.looked = e.Page, len(e.Page.Registrations) == 0 // all of them are gone again
		return d.next()
	case Looked:
		if e.Failed {
			return d.fail(now)
		}
		d.append, d.looked = verdicts(d.shard, d.page, e.Rivals), true
		return d.next()
	case Decided:
		if e.Failed {
			return d.fail(now)
		}
		d.append = d.append[1:]
		return d.next()
	case DirectoryTick:
		if now.Before(d.again) {
			return RetryAt{d.again}
		}
		return d.next()
	}
	return nil
}

func (d *Directory) fail(now time.Time) DirectoryEffect {
	d.again = now.Add(directoryPause)
	return RetryAt{d.again}
}

func (d *Directory) next() DirectoryEffect {
	switch {
	case !d.looked:
		return Look{d.page}
	case len(d.append) > 0:
		return Decide{d.append[0]}
	}
	return Settled{d.page}
}

// verdicts decides between registrations of a shard and their rivals: of an
// address, whoever registered earlier is told that it is superseded; of an
// identifier, the one of the earlier goes to the later, with all that is known of it.
func verdicts(shard tocsin.Shard, page Page, rivals []ask.Rival) (all []Verdict) {
	for _, rival := range rivals {
		r := &page.Registrations[rival.Of]
		if rival.ID == r.ID && rival.Leaving {
			continue // it is on its way
		}
		mine, theirs := claim{r.Since, r.ID, shard}, claim{rival.Since, rival.ID, rival.Shard}
		later, profile, said, loser := mine, r.Profile, r.Said, rival.Shard
		if theirs.after(mine) {
			later, profile, said, loser = theirs, rival.Profile, false, shard // nobody knows what was said: an opt-out counts
		}
		v := Verdict{Shard: loser, Scope: page.Scope}
		if rival.ID == r.ID {
			v.Changes = []*record.Change{{Change: &record.Change_Move{Move: &record.Move{Subscription: r.ID.Bytes(), Profile: profile, Shard: uint32(later.shard)}}}}
		} else {
			v.Changes = []*record.Change{{Change: &record.Change_Superseded{Superseded: &record.Superseded{Subscription: later.id.Bytes(),
				Provider: uint32(r.Provider), Address: r.Address, Since: later.since, Shard: uint32(later.shard), Said: said}}}}
		}
		all = append(all, v)
	}
	return all
}
