package api

import (
	"bytes"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Accept is the machine that takes one request to send from its idempotency
// key to its answer (law L5). Two engines are involved, so the order is:
//
//  1. a conditional put claims the key: hash of the body, send id, since when;
//  2. the send is appended with that id, which may be repeated.
//
// Before 2 nothing happened; after it the send is durable. Nothing marks the
// key done: the log of sends is what tells. Whoever finds the key looks for the
// send with the id that is in its row. If it is there, that is the answer; if
// not, and the key is claimed for more than ResumeAfter, he goes on at 2 with
// that id, so that one key never makes two sends. Without a key there is only
// step 2.
//
// Accept holds no clock and does no I/O: the shell (or trial) runs each
// effect and steps the machine with what came of it.
type Accept struct {
	keyed bool
	body  [32]byte

	row   []byte // value that is known to stand in the store
	entry entry  // what we put, or took over
	other entry  // of the row, while its send is looked for
	wrote entry  // what the put under way would write
	tries int
	phase phase
	fail  Refusal
}

// Timing of idempotency keys.
const (
	KeyLife     = 25 * time.Hour   // a key is kept at least 24 h
	ResumeAfter = 10 * time.Second // a key claimed for longer, without a send, belongs to nobody
)

// acceptTries bounds how often an ambiguous or lost put is decided again
// before the request is given up.
const acceptTries = 6

type phase uint8

const (
	phaseStart  phase = iota
	phaseClaim        // a put of our row is under way
	phaseReread       // its outcome was not known: the row is read
	phaseFind         // the send of another's row is looked for
	phaseMark
	phaseAppend
	phaseRelease // a put that frees our row is under way
	phaseEnd
)

// NewAccept prepares one request. send is a fresh id, used unless the key
// already has one. keyed is false for a request without a key.
func NewAccept(keyed bool, body [32]byte, send tocsin.SendID) *Accept {
	return &Accept{keyed: keyed, body: body, entry: entry{Send: send, Body: body}}
}

// AcceptEvent is what can happen to an Accept.
type AcceptEvent interface{ acceptEvent() }

// AcceptEffect is what an Accept asks for, one at a time.
type AcceptEffect interface{ acceptEffect() }

type (
	// Arrived starts the machine: the request was read and is valid.
	Arrived struct{}

	// PutDone answers PutRow. Err stands for every failure; Ambiguous tells
	// that the put may have taken effect. When OK is false without either,
	// Row is the row as it stands, nil when there is none.
	PutDone struct {
		OK        bool
		Row       []byte
		Ambiguous bool
		Failed    Refusal
	}

	// ReadDone answers ReadRow, which is linearizable with puts.
	ReadDone struct {
		Row    []byte // nil when there is none
		Failed Refusal
	}

	// SendFound answers FindSend.
	SendFound struct {
		Found  bool
		Failed Refusal
	}

	// MarkTaken answers TakeMark.
	MarkTaken struct{ Failed Refusal }

	// AppendDone answers AppendSend. Failed means that the record may be in
	// the log or not.
	AppendDone struct{ Failed Refusal }
)

func (Arrived) acceptEvent()    {}
func (PutDone) acceptEvent()    {}
func (ReadDone) acceptEvent()   {}
func (SendFound) acceptEvent()  {}
func (MarkTaken) acceptEvent()  {}
func (AppendDone) acceptEvent() {}

type (
	// PutRow writes the key's row if it still is Old (nil: absent).
	PutRow struct {
		Old, Value []byte
		Expires    time.Time
	}

	// ReadRow reads the key's row.
	ReadRow struct{}

	// FindSend asks whether a send is in the log, by all that was appended when
	// it is asked.
	FindSend struct{ Send tocsin.SendID }

	// TakeMark asks the log for the ends of changes.
	TakeMark struct{}

	// AppendSend appends the send under this id. Accepted is when the request
	// that claimed the key arrived: the send is due from then.
	AppendSend struct {
		Send     tocsin.SendID
		Accepted time.Time
	}

	// Reply ends the request. Refusal is 0 when the send is durable; Repeat
	// then says that an earlier request had made it.
	Reply struct {
		Refusal  Refusal
		Send     tocsin.SendID
		Accepted time.Time
		Repeat   bool
	}
)

func (PutRow) acceptEffect()     {}
func (ReadRow) acceptEffect()    {}
func (FindSend) acceptEffect()   {}
func (TakeMark) acceptEffect()   {}
func (AppendSend) acceptEffect() {}
func (Reply) acceptEffect()      {}

// Refusal is why a request was not accepted.
type Refusal uint8

const (
	Mismatch    Refusal = iota + 1 // the key belongs to another body
	Running                        // a request with the key is under way
	Full                           // storage is nearly full
	TooLarge                       // the record is over the journal's limit
	Unavailable                    // an engine failed; the request may be repeated
)

// Step takes one event and returns the next effect, nil after Reply.
func (a *Accept) Step(now time.Time, e AcceptEvent) AcceptEffect {
	switch e := e.(type) {
	case Arrived:
		a.entry.Accepted = now
		if !a.keyed {
			return a.mark()
		}
		return a.claim(now, nil)
	case PutDone:
		return a.put(now, e)
	case ReadDone:
		if a.phase != phaseReread {
			return nil
		}
		if e.Failed != 0 {
			return a.reply(Unavailable)
		}
		return a.decide(now, e.Row)
	case SendFound:
		return a.found(now, e)
	case MarkTaken:
		if a.phase != phaseMark {
			return nil
		}
		if e.Failed != 0 {
			return a.release(e.Failed)
		}
		a.phase = phaseAppend
		return AppendSend{Send: a.entry.Send, Accepted: a.entry.Accepted}
	case AppendDone:
		if a.phase != phaseAppend {
			return nil
		}
		if e.Failed != 0 {
			return a.release(e.Failed)
		}
		return a.reply(0)
	}
	return nil
}

// claim puts our row, in place of old.
func (a *Accept) claim(now time.Time, old []byte) AcceptEffect {
	if a.tries++; a.tries > acceptTries {
		return a.reply(Unavailable)
	}
	a.phase, a.row = phaseClaim, old
	a.wrote = a.entry
	a.wrote.Since = now
	return PutRow{Old: old, Value: a.wrote.marshal(), Expires: a.entry.Accepted.Add(KeyLife)}
}

func (a *Accept) put(now time.Time, e PutDone) AcceptEffect {
	switch a.phase {
	case phaseRelease:
		return a.reply(a.fail)
	case phaseClaim:
	default:
		return nil
	}
	switch {
	case e.OK:
		return a.claimed()
	case e.Ambiguous:
		a.phase = phaseReread
		return ReadRow{}
	case e.Failed != 0:
		return a.reply(e.Failed)
	}
	return a.decide(now, e.Row)
}

// decide looks at a row that stands in the way, or that may be our own.
func (a *Accept) decide(now time.Time, row []byte) AcceptEffect {
	if row == nil {
		return a.claim(now, nil)
	}
	if bytes.Equal(row, a.wrote.marshal()) {
		return a.claimed() // an ambiguous put that had taken effect
	}
	other, err := parseEntry(row)
	switch {
	case err != nil:
		return a.reply(Unavailable)
	case other.Body != a.body:
		return a.reply(Mismatch)
	}
	a.phase, a.row, a.other = phaseFind, row, other
	return FindSend{other.Send}
}

// found goes on with the row of an earlier request with this body.
func (a *Accept) found(now time.Time, e SendFound) AcceptEffect {
	switch {
	case a.phase != phaseFind:
		return nil
	case e.Failed != 0:
		return a.reply(Unavailable)
	case e.Found:
		a.phase = phaseEnd
		return Reply{Send: a.other.Send, Accepted: a.other.Accepted, Repeat: true}
	case now.Sub(a.other.Since) <= ResumeAfter:
		return a.reply(Running)
	}
	// It belongs to nobody: go on with its send id and its time, under a
	// fresh row so that only one of several goes on.
	a.entry = a.other
	return a.claim(now, a.row)
}

func (a *Accept) claimed() AcceptEffect {
	a.entry, a.row = a.wrote, a.wrote.marshal()
	return a.mark()
}

func (a *Accept) mark() AcceptEffect {
	a.phase = phaseMark
	return TakeMark{}
}

// release frees the key so that the next request with it resumes at once. The
// row is never deleted: the failed append may still appear, under its id.
func (a *Accept) release(why Refusal) AcceptEffect {
	if !a.keyed {
		return a.reply(why)
	}
	a.phase, a.fail = phaseRelease, why
	a.wrote = a.entry
	a.wrote.Since = time.Time{}
	return PutRow{Old: a.row, Value: a.wrote.marshal(), Expires: a.entry.Accepted.Add(KeyLife)}
}

func (a *Accept) reply(why Refusal) AcceptEffect {
	a.phase = phaseEnd
	if why != 0 {
		return Reply{Refusal: why}
	}
	return Reply{Send: a.entry.Send, Accepted: a.entry.Accepted}
}
