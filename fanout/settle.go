package fanout

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// answered settles a range. What an earlier term of ours claimed is in doubt
// already, and only goes back to pace.
func (m *Machine) answered(e Answered) {
	t := m.underway[e.Claim]
	if t == nil {
		return
	}
	delete(m.underway, e.Claim)
	told := report(t, e, m.now)
	m.toPace(told)
	if told.Throttled > 0 || told.Faulted > 0 { // nothing more leaves there before pace lets it
		m.haltRoute(t.feed.route)
	}
	if m.phase != owning || e.Claim.Term != m.term {
		return
	}
	s := &record.Settle{Gone: e.Gone, Written: e.Written, Decided: e.Decided}
	send := t.feed.job.send
	s.QuotaWait = int64(t.waited + send.PausedFor(m.now))
	if !e.First.IsZero() {
		s.FirstWrite, s.LastWrite = e.First.UnixNano(), e.Last.UnixNano()
	}
	page := send.Page(t.page)
	from := t.From
	for _, a := range e.Answers {
		for span, push := range page.Runs(ledger.Span{From: from, To: from + a.Count}) {
			s.Runs = appendRun(s.Runs, m.decide(t, push, a, e.Jitter, span.To-span.From))
		}
		from += a.Count
	}
	m.settle(t, s)
}

// report tells pace what a range showed of its quota and its credential.
func report(t *task, e Answered, now time.Time) pace.Finished {
	f := pace.Finished{Route: t.feed.route, Send: t.feed.job.id, N: t.n, Version: e.Version}
	if !e.Last.IsZero() {
		f.Took = max(1, now.Sub(e.Last))
	}
	for _, a := range e.Answers {
		switch {
		case a.Outcome != 0:
		case a.Result == provider.Later && a.Scope == provider.WholeQuota:
			f.Throttled += a.Count
			f.RetryAfter = max(f.RetryAfter, a.RetryAfter)
		case a.Result == provider.Fault:
			f.Faulted += a.Count
		case a.Result == provider.Accepted, a.Result == provider.Gone, a.Result == provider.Refused,
			a.Result == provider.Later && a.Reason == tocsin.ReasonThrottled:
			f.Proven += a.Count // the rest says nothing of the credential
		}
	}
	return f
}

// decide is what an answer means for a push: the table of actions.
func (m *Machine) decide(t *task, push ledger.Push, a Answer, jitter float64, count int) *record.Run {
	run := &record.Run{Count: uint32(count), Reason: uint32(a.Reason)}
	end := func(o tocsin.Outcome) { run.Result = uint32(o) }
	s := t.feed.job.send
	later := func(retry Retry) {
		run.Result = uint32(ledger.Later)
		at := m.now.Add(retry.after(push, a.RetryAfter, jitter))
		if !s.Expiry.IsZero() && at.After(s.Expiry) {
			at = s.Expiry // to be settled as expired then
		}
		run.NotBefore = at.UnixNano()
	}
	switch {
	case a.Outcome != 0:
		end(a.Outcome)
	case a.Result == provider.Accepted:
		end(tocsin.Accepted)
	case a.Result == provider.Gone:
		end(tocsin.Gone)
	case a.Result == provider.Refused:
		end(tocsin.Refused)
	case a.Result == provider.Fault: // costs no attempt: it waits for another credential
		run.Reason = uint32(tocsin.ReasonCredential)
		later(m.config.Credential)
	case a.Result == provider.Lost:
		run.Mark, run.Reason = true, uint32(tocsin.ReasonUnanswered)
		if push.Last(s.Attempts) || s.OnDoubt == tocsin.Skip {
			end(tocsin.InDoubt)
			break
		}
		later(m.retry(t.feed.route.Provider))
	case a.Result == provider.Later || a.Result == provider.Unprocessed:
		if a.Result == provider.Unprocessed {
			run.Reason = uint32(tocsin.ReasonNotProcessed)
			later(m.config.Unprocessed)
			break
		}
		if a.Reason == tocsin.ReasonCredential { // not refused for good: that would be a Fault
			run.Reason = uint32(tocsin.ReasonUnavailable)
		}
		later(m.retry(t.feed.route.Provider))
	default: // Unsent
		run.Result, run.Reason = uint32(ledger.Released), 0
	}
	return run
}

func (m *Machine) retry(p tocsin.Provider) Retry {
	switch p {
	case tocsin.APNs:
		return m.config.APNs
	case tocsin.FCM:
		return m.config.FCM
	}
	return m.config.WebPush
}

// after is the wait after an attempt: what the provider asked for, or First,
// doubled with every attempt. What was asked for is a least.
func (r Retry) after(push ledger.Push, asked time.Duration, jitter float64) time.Duration {
	wait := asked
	if wait <= 0 {
		wait = r.First
	}
	for n := 1; n < push.Attempt() && wait < r.Most; n++ {
		wait = min(2*wait, r.Most)
	}
	return wait + time.Duration(jitter*float64(wait)/4)
}

// appendRun adds a run, to the last one where they say the same.
func appendRun(runs []*record.Run, r *record.Run) []*record.Run {
	if n := len(runs); n > 0 {
		if l := runs[n-1]; l.Result == r.Result && l.Reason == r.Reason && l.Mark == r.Mark && l.NotBefore == r.NotBefore {
			l.Count += r.Count
			return runs
		}
	}
	return append(runs, r)
}

// settle puts the settle of a claim into the outbox. From there on the window
// has room again: a later claim stands behind it in the log.
func (m *Machine) settle(t *task, s *record.Settle) {
	s.Send, s.Claim = t.feed.job.id.Bytes(), t.ref.Seq
	m.put(&record.Envelope{Body: &record.Envelope_Settle{Settle: s}}, t.feed.job.send.Scope)
	m.held -= t.n
}

// readSettle is called for a settle of ours in force: what it released is asked
// for again, and a send whose pushes all ended is closed.
func (m *Machine) readSettle(c *ledger.Claim) {
	j := m.jobs[c.Send.ID]
	if j == nil || j.stage != open {
		return
	}
	m.look(j)
	if j.send.Cancelled {
		return
	}
	for span, push := range j.send.Page(c.Page).Runs(c.Span) {
		if push.State() == ledger.Unclaimed {
			j.feedOf(c.Page).release(todo{c.Page, span, push.Attempt()})
		}
	}
}

// readClose drops a send that is done.
func (m *Machine) readClose(s *ledger.Send) {
	delete(m.jobs, s.ID)
	m.forgetRates(false)
	m.emit(Forget{Slice: s.Slice})
}
