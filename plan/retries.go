package plan

import (
	"container/heap"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
)

// retries is what the machine knows of its ledger: the fold, and when each
// push in `later` may be tried again.
type retries struct {
	next   uint64
	fold   *ledger.Fold
	bySend map[tocsin.SendID]pages
	due    dueHeap[*retry]
}

// retry is a run of pushes in `later`, named by the settle that put them there.
type retry struct {
	send       tocsin.SendID
	scope      record.Scope
	name       name
	due        time.Time
	credential tocsin.CredentialID // set when only a replaced credential helps
	issued     bool                // a permission was queued, and no take came since
	gone       bool
}

// pages are the retries of one send by page, so that a claim looks at those of
// its own page only: of a large send there may be very many.
type pages map[uint32][]*retry

// all are the retries in the order of pages.
func (p pages) all() (all []*retry) {
	for _, page := range slices.Sorted(maps.Keys(p)) {
		all = append(all, p[page]...)
	}
	return all
}

// name is record.Retry as a value.
type name struct {
	term, claim             uint64
	page, from, to, attempt uint32
}

func (n name) record() *record.Retry {
	return &record.Retry{Term: n.term, Claim: n.claim, Page: n.page, From: n.from, To: n.to, Attempt: n.attempt}
}

func (r *retry) when() time.Time { return r.due }

// readLedger folds one record and follows what it did to `later`.
func (m *Machine) readLedger(r Record) {
	e := r.Envelope
	v := m.retries.fold.Apply(r.Position, e)
	if !v.InForce {
		return
	}
	switch body := e.Body.(type) {
	case *record.Envelope_Take:
		// The old owner may have died holding permissions that it never used.
		for _, list := range m.retries.bySend {
			for _, r := range list.all() {
				r.issued = false
			}
		}
		m.retries.rebuild()
	case *record.Envelope_Claim:
		if body.Claim.Attempt > 1 {
			m.used(body.Claim)
		}
	case *record.Envelope_Settle:
		m.settled(v, body.Settle)
	case *record.Envelope_Close:
		m.retries.drop(tocsin.SendID(body.Close.Send))
	case *record.Envelope_Cancel:
		m.retries.drop(tocsin.SendID(body.Cancel.Send))
	}
}

// settled takes up the runs that a settle in force left in `later`.
func (m *Machine) settled(v ledger.Verdict, settle *record.Settle) {
	claim := v.Claim
	page := v.Send.Page(claim.Page)
	from := claim.From
	var last *retry
	for _, run := range settle.Runs {
		to := from + int(run.Count)
		// The fold has the last word: cancelled, or at the limit, a push ended.
		if ledger.Result(run.Result) != ledger.Later || page.Push(from).State() != ledger.Waiting {
			from = to
			continue
		}
		due := time.Unix(0, run.NotBefore)
		if !v.Send.Expiry.IsZero() && v.Send.Expiry.Before(due) {
			due = v.Send.Expiry // then it is claimed to be settled as expired
		}
		r := &retry{send: v.Send.ID, scope: v.Send.Scope, due: due, name: name{
			claim.Term, claim.Seq, uint32(claim.Page), uint32(from), uint32(to), uint32(claim.Attempt) + 1,
		}}
		if tocsin.Reason(run.Reason) == tocsin.ReasonCredential {
			r.credential = page.Lot().Credential
		}
		from = to
		if last != nil && last.name.to == r.name.from && last.due.Equal(r.due) && last.credential == r.credential {
			last.name.to = r.name.to
			continue
		}
		m.retries.add(r)
		last = r
	}
}

func (s *retries) add(r *retry) {
	if s.bySend[r.send] == nil {
		s.bySend[r.send] = pages{}
	}
	s.bySend[r.send][r.name.page] = append(s.bySend[r.send][r.name.page], r)
	heap.Push(&s.due, r)
}

func (s *retries) drop(id tocsin.SendID) {
	for _, r := range s.bySend[id].all() {
		r.gone = true
	}
	delete(s.bySend, id)
}

// used cuts a range that was claimed again out of what waits: its pushes are
// in `later` no more.
func (m *Machine) used(c *record.Claim) {
	id := tocsin.SendID(c.Send)
	send := m.retries.bySend[id]
	list := send[c.Page]
	kept := list[:0:0]
	for _, r := range list {
		n := r.name
		if n.attempt != c.Attempt || n.to <= c.From || c.To <= n.from {
			kept = append(kept, r)
			continue
		}
		r.gone = true
		for _, rest := range [][2]uint32{{n.from, min(n.to, c.From)}, {max(n.from, c.To), n.to}} {
			if rest[0] >= rest[1] {
				continue
			}
			part := &retry{send: r.send, scope: r.scope, due: r.due, credential: r.credential, issued: r.issued, name: name{
				n.term, n.claim, n.page, rest[0], rest[1], n.attempt,
			}}
			kept = append(kept, part)
			heap.Push(&m.retries.due, part)
		}
	}
	if len(kept) > 0 {
		send[c.Page] = kept
		return
	}
	if delete(send, c.Page); len(send) == 0 {
		delete(m.retries.bySend, id)
	}
}

// rebuild puts into the heap whatever waits, in the order of the sends.
func (s *retries) rebuild() {
	s.due = s.due[:0]
	for _, send := range s.fold.Sends() {
		s.due = append(s.due, s.bySend[send.ID].all()...)
	}
	heap.Init(&s.due)
}

// replaced makes due at once what waits for this credential.
func (m *Machine) replaced(now time.Time, id tocsin.CredentialID) {
	for _, list := range m.retries.bySend {
		for _, r := range list.all() {
			if r.credential == id && r.due.After(now) {
				r.due = now
			}
			if r.credential == id {
				r.issued = false
			}
		}
	}
	m.retries.rebuild()
}

// firstDue is the retry that is due first and not issued, nil when there is none.
func (s *retries) firstDue() *retry {
	for len(s.due) > 0 {
		if r := s.due[0]; !r.gone && !r.issued {
			return r
		}
		heap.Pop(&s.due)
	}
	return nil
}

func (s *retries) nextDue() time.Time {
	if r := s.firstDue(); r != nil {
		return r.due
	}
	return time.Time{}
}

// issueDue queues a permission for everything in `later` whose time has come.
func (m *Machine) issueDue(now time.Time) {
	for r := m.retries.firstDue(); r != nil && !r.due.After(now); r = m.retries.firstDue() {
		r.issued = true
		m.queues[m.shard].push(r.scope, &record.Slice{Send: r.send.Bytes(), Retry: r.name.record()}, nil)
	}
}
