package fanout

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
)

// flight is one granted range on its way: loaded, rendered, handed to its lane,
// and accounted for. Its buffers are used again, so that a push costs a few
// writes into arrays.
type flight struct {
	owner    *Owner
	contents *contents
	claim    ClaimRef
	send     tocsin.SendID
	version  uint64 // of the credential; 0: no lane was asked
	left     bool   // pace knows
	last     bool
	span     ledger.Span
	ordinals []uint32
	people   audience.Recipients
	variants variants
	text     []byte // rendered payloads, one after the other
	ends     []int  // where each ends in text; -1 for a constant one
	index    []int  // of each push of the batch in the range
	moved    bool   // one of the pushes is to a subscription that another shard has, or is about to have
	decided  []verdict
	batch    provider.Batch
}

// verdict is an answer that was there before the lane was asked. A push in
// neither the batch nor the verdicts stays unsent.
type verdict struct {
	index int
	Answer
}

func newFlight() *flight {
	f := new(flight)
	f.batch.Left = f.tellLeft
	f.batch.Done = func(*provider.Batch) {
		if len(f.ordinals) <= atOnce {
			f.account()
			return
		}
		f.owner.lanes.work.post(f.account)
	}
	return f
}

// load takes what it needs of the send; called by the owner's goroutine.
func (f *flight) load(o *Owner, c *contents, e Deliver) {
	f.owner, f.contents, f.claim, f.last, f.span = o, c, e.Claim, e.Last, e.Span
	f.send, f.version, f.left = e.Send.ID, 0, false
	f.ordinals = e.Send.Ordinals(e.Page, f.ordinals[:0])[e.Span.From:e.Span.To]
	f.batch.Route = e.Route
	f.batch.Stop.Store(false)
	// The same range of the same attempt gets the same name again: for a
	// provider that drops repeats a resend is one.
	name := binary.BigEndian.AppendUint32(append(make([]byte, 0, 40), e.Send.ID[:]...), uint32(o.shard))
	name = binary.BigEndian.AppendUint32(name, uint32(e.Page))
	name = binary.BigEndian.AppendUint32(name, uint32(e.Span.From))
	name = binary.BigEndian.AppendUint32(name, uint32(e.Attempt))
	sum := sha256.Sum256(name)
	copy(f.batch.ID[:], sum[:])
}

// clear lets go of what is not ours; the buffers stay.
func (f *flight) clear() {
	f.owner, f.contents = nil, nil
	clear(f.batch.Addresses)
	clear(f.batch.Payloads)
	clear(f.variants)
	f.variants = f.variants[:0]
}

// leave looks at eligibility, renders and hands over to the lane.
func (f *flight) leave() {
	c := f.contents
	m := c.ready(f.owner.audience, f.batch.Route.Provider)
	f.batch.Addresses, f.batch.Payloads = f.batch.Addresses[:0], f.batch.Payloads[:0]
	f.batch.Results, f.batch.Details, f.batch.Wrote = f.batch.Results[:0], f.batch.Details[:0], f.batch.Wrote[:0]
	f.text, f.ends, f.index, f.decided, f.moved = f.text[:0], f.ends[:0], f.index[:0], f.decided[:0], false
	lane, version := f.owner.lanes.lane(f.batch.Route)
	switch {
	case m.err != nil:
		f.decideAll(tocsin.Refused, tocsin.ReasonRender)
	case !time.Now().Before(c.expiry):
		f.decideAll(tocsin.Expired, 0)
	case lane == nil || f.batch.Stop.Load(): // nothing of it is written: released
	default:
		f.render(m)
	}
	if len(f.batch.Addresses) == 0 {
		f.account()
		return
	}
	f.batch.Results = slices.Grow(f.batch.Results, len(f.batch.Addresses))[:len(f.batch.Addresses)]
	clear(f.batch.Results)
	f.version = version
	lane.Send(&f.batch)
}

func (f *flight) decideAll(o tocsin.Outcome, r tocsin.Reason) {
	for i := range f.ordinals {
		f.decide(i, o, r)
	}
}

func (f *flight) decide(i int, o tocsin.Outcome, r tocsin.Reason) {
	f.decided = append(f.decided, verdict{i, Answer{Count: 1, Outcome: o, Reason: r}})
}

func (f *flight) render(m *compiledMessage) {
	c, b := f.contents, &f.batch
	r := audience.Route{Provider: b.Route.Provider, Host: b.Route.Host, Topic: b.Route.Topic}
	if r.Provider == tocsin.WebPush {
		r.Vapid = b.Route.Credential
	}
	f.owner.audience.Load(c.scope.Project, r, f.ordinals, m.names, &f.people)
	i := 0
	value := func(name string) (string, bool) {
		if v, ok := c.values[f.ordinals[i]][name]; ok {
			return v, true
		}
		return f.people.Value(i, name)
	}
	personal := false
	for ; i < len(f.ordinals); i++ {
		if reason := f.people.Blocked[i]; reason != 0 {
			f.decide(i, tocsin.Suppressed, reason)
			continue
		}
		v := f.variants.of(m, r.Provider, f.people.Languages[i])
		payload, end := v.constant, -1
		if payload == nil {
			text, err := v.Append(f.text, value)
			if err != nil {
				reason := tocsin.ReasonRender
				if errors.Is(err, content.ErrSize) {
					reason = tocsin.ReasonSize
				}
				f.decide(i, tocsin.Refused, reason)
				continue
			}
			f.text, end, personal = text, len(text), true
		}
		if len(f.index) == 0 {
			b.Headers = provider.Headers{
				Urgent: v.Urgent(), Background: v.Background(), Expiry: c.expiry, TTL: c.ttl, Collapse: c.collapse,
			}
		}
		b.Addresses = append(b.Addresses, f.people.Addresses[i])
		b.Payloads = append(b.Payloads, payload)
		f.ends = append(f.ends, end)
		f.index = append(f.index, i)
		f.moved = f.moved || f.people.Moved[i]
	}
	if !personal {
		return
	}
	// Only now: text may have moved while it grew.
	from := 0
	for i, end := range f.ends {
		if end >= 0 {
			b.Payloads[i] = f.text[from:end:end]
			from = end
		}
	}
}

// tellLeft tells pace, past the owner, that all that leaves of the range has
// left.
func (f *flight) tellLeft(written int) {
	f.left = true
	f.owner.lanes.box.post(pace.Left{Route: f.batch.Route, Send: f.send, N: len(f.ordinals), Written: written})
}

// account turns what the lane wrote into the batch into an Answered.
func (f *flight) account() {
	f.owner.lanes.underWay.Add(-1)
	b := &f.batch
	if !f.left {
		written := 0
		for _, w := range b.Wrote {
			written += w.To - w.From
		}
		f.tellLeft(written)
	}
	e := Answered{Claim: f.claim, Jitter: rand.Float64(), Version: f.version}
	if f.allAccepted() {
		e.Answers = []Answer{{Count: len(b.Results), Result: provider.Accepted}}
	} else {
		f.answers(&e)
	}
	f.drift(&e)
	f.owner.observe(f, e.Answers)
	f.owner.box.post(message{event: e, flight: f})
}

func (f *flight) allAccepted() bool {
	if len(f.index) < len(f.ordinals) || len(f.batch.Details) > 0 || f.moved {
		return false
	}
	for _, r := range f.batch.Results {
		if r != provider.Accepted {
			return false
		}
	}
	return true
}

func (f *flight) answers(e *Answered) {
	b := &f.batch
	slices.SortFunc(b.Details, func(x, y provider.Detail) int { return x.Index - y.Index })
	details := b.Details
	decided, at := f.decided, 0
	for i := range f.ordinals {
		a := Answer{Count: 1, Result: provider.Unsent}
		switch {
		case len(decided) > 0 && decided[0].index == i:
			a, decided = decided[0].Answer, decided[1:]
		case at < len(f.index) && f.index[at] == i:
			if a.Result = b.Results[at]; a.Result == provider.Accepted && f.people.Moved[i] {
				a.Reason = tocsin.ReasonMoved // the send may count it on that shard too
			}
			for len(details) > 0 && details[0].Index < at {
				details = details[1:]
			}
			if len(details) > 0 && details[0].Index == at {
				f.detail(e, &a, details[0], i)
			} else if a.Result == provider.Gone {
				f.detail(e, &a, provider.Detail{}, i)
			}
			at++
		}
		if n := len(e.Answers) - 1; n >= 0 && e.Answers[n].same(a) {
			e.Answers[n].Count++
			continue
		}
		e.Answers = append(e.Answers, a)
	}
}

func (a Answer) same(b Answer) bool {
	b.Count = a.Count
	return a == b
}
