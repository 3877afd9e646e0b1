package fanout

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

const (
	slicesAhead    = 64 // slices read and not open, before reading stops
	evaluatedAhead = 4  // of those to more than few, how many are evaluated ahead of their turn
)

func (m *Machine) readOn() {
	if !m.slices.asked && len(m.opening) < slicesAhead {
		m.slices.asked = true
		m.emit(ReadSlices{From: m.slices.next})
	}
}

func (m *Machine) readSlices(e SlicesRead) {
	m.slices.asked = false
	m.slices.next = e.Next
	for _, r := range e.Records {
		s := r.Envelope.GetSlice()
		switch {
		case s == nil:
		case s.Retry != nil:
			m.permits = append(m.permits, permit{tocsin.SendID(s.Send), s.Retry})
		case m.known(s, r.Position): // plan may cut a send twice after a crash
		default:
			m.opening = append(m.opening, &job{id: tocsin.SendID(s.Send), position: r.Position, content: r.Envelope})
		}
	}
}

// known reports whether a slice was opened, or another one of its send was read.
func (m *Machine) known(s *record.Slice, position uint64) bool {
	id := tocsin.SendID(s.Send)
	return position <= m.fold.Slice() || m.fold.Send(id) != nil || m.fold.Finished(id, s.Origin) ||
		slices.ContainsFunc(m.opening, func(j *job) bool { return j.id == id })
}

// fetched brings the content of a send that another owner opened.
func (m *Machine) fetched(e SliceFetched) {
	if m.fold == nil {
		return
	}
	for _, s := range m.fold.Sends() {
		j := m.jobs[s.ID]
		if s.Slice != e.Position || j == nil || j.content != nil {
			continue
		}
		if j.content = e.Envelope; e.Envelope.GetSlice() == nil {
			// Nobody can render it any more; its pushes still need an outcome.
			j.content, j.outcome, j.reason = nil, tocsin.Refused, tocsin.ReasonRender
		}
		m.look(j)
		return
	}
}

// nextToOpen is the first job whose open was not put into the outbox.
func (m *Machine) nextToOpen() *job {
	for _, j := range m.opening {
		if j.stage != sent {
			return j
		}
	}
	return nil
}

// toFew reports whether a slice names its recipients, at most a page of them.
func toFew(s *record.Slice) bool {
	return len(s.Recipients) > 0 && len(s.Recipients) <= tocsin.PageSize
}

// openSlices evaluates what the audience is ready for and opens in slice order.
// While one waits for the grant of its claim, those behind it ask for theirs.
func (m *Machine) openSlices() {
	large := 0
	for _, j := range m.opening {
		if j.stage == sent {
			continue
		}
		if !toFew(j.slice()) {
			if large++; large > evaluatedAhead {
				break
			}
		}
		if j.stage == waiting && j.slice().Mark <= m.applied {
			j.stage = evaluating
			m.emit(Evaluate{Position: j.position, Envelope: j.content})
		}
	}
	turn := true
	for _, j := range m.opening {
		switch {
		case j.stage == sent:
		case j.stage != evaluated:
			return
		case turn:
			turn = m.tryOpen(j)
		case j.first == nil && m.claimsFirst(j):
			m.askFirst(j)
		}
	}
}

func (m *Machine) evaluated(e Evaluated) {
	for _, j := range m.opening {
		if j.position == e.Slice && j.stage == evaluating {
			if e.Content != nil {
				j.content = e.Content
			}
			j.stage, j.audience = evaluated, e
		}
	}
}

// claimsFirst reports whether the open of a job is to carry its first claim: a
// small send's, that may leave now.
func (m *Machine) claimsFirst(j *job) bool {
	if j.plain || len(j.slice().Recipients) == 0 || !m.fewEnough(j.audience.Lots) {
		return false
	}
	steering := m.steering(j)
	return !steering.Paused && steering.PerMinute == 0 && !m.fold.Cancelled(j.id) && m.now.Before(expiryOf(j.slice())) && len(m.chunks(j.audience.Lots)) == 1
}

// askFirst asks for the grant of the claim that an open is to carry.
func (m *Machine) askFirst(j *job) {
	lot := j.audience.Lots[0]
	r := lot.Route
	f := &feed{job: j, route: provider.Route{
		Provider: tocsin.Provider(r.Provider), Credential: tocsin.CredentialID(r.Credential), Host: r.Host, Topic: r.Topic}}
	j.deadline = m.now.Add(m.config.OpenWait)
	j.first = m.ask(f, todo{Span: ledger.Span{To: int(min(lot.Count, uint32(m.config.RangeSize)))}, attempt: 1})
}

// tryOpen puts the open of a job into the outbox, or waits for the grant of the
// claim that the same record is to carry.
func (m *Machine) tryOpen(j *job) bool {
	if len(m.outbox) > appendRecords {
		return false
	}
	if m.claimsFirst(j) {
		if j.first == nil {
			m.askFirst(j)
			return false
		}
		if t := j.first; t.n > 0 && m.held+t.n <= m.config.Window {
			m.putOpen(j, m.chunks(j.audience.Lots), t)
			return true
		}
		if m.now.Before(j.deadline) {
			return false
		}
	}
	m.giveBackFirst(j)
	m.putOpen(j, m.chunks(j.audience.Lots), nil)
	return true
}

func (m *Machine) giveBackFirst(j *job) {
	if j.first != nil {
		m.giveBack(j.first)
		j.first = nil
	}
}

// fewEnough: up to 1,024 recipients open and are claimed in one record.
func (m *Machine) fewEnough(lots []*record.Lot) bool {
	count := uint32(0)
	for _, lot := range lots {
		count += lot.Count
	}
	return count > 0 && count <= tocsin.PageSize
}

// openBytes bounds the lots of one record with the names of their hosts, which
// strangers choose, below journal.MaxRecord.
const openBytes = 500 << 10

// chunks cuts lots into records.
func (m *Machine) chunks(lots []*record.Lot) [][]*record.Lot {
	chunks := [][]*record.Lot{nil}
	ordinals, whole := 0, 0
	for _, lot := range lots {
		const frame = 4 // tag and length of a lot
		size, last := lot.SizeVT()+frame, len(chunks)-1
		ordinals, whole = ordinals+len(lot.Ordinals), whole+size
		if (ordinals > m.config.Chunk || whole > openBytes) && len(chunks[last]) > 0 {
			chunks = append(chunks, nil)
			last, ordinals, whole = last+1, len(lot.Ordinals), size
		}
		chunks[last] = append(chunks[last], lot)
	}
	return chunks
}

// expiryOf is when the time to live of a slice ends.
func expiryOf(s *record.Slice) time.Time {
	ttl := time.Duration(s.GetOptions().GetTtl())
	if ttl <= 0 || ttl > maxTTL {
		ttl = maxTTL
	}
	return time.Unix(0, s.GetDue()).Add(ttl)
}

func (m *Machine) putOpen(j *job, chunks [][]*record.Lot, claim *task) {
	s, options := j.slice(), j.slice().GetOptions()
	onDoubt, attempts := options.GetOnDoubt(), options.GetAttempts()
	if onDoubt == 0 {
		onDoubt = uint32(tocsin.Resend)
	}
	if attempts == 0 {
		attempts = uint32(m.config.Attempts)
	}
	for n, lots := range chunks {
		o := &record.Open{
			Send: s.Send, Slice: j.position, Chunk: uint32(n), Chunks: uint32(len(chunks)), Generation: j.audience.Generation, Changes: j.audience.Changes,
			Lots: lots, OnDoubt: onDoubt, Attempts: attempts, Due: s.Due, Expiry: expiryOf(j.slice()).UnixNano(), Unknown: j.audience.Unknown,
			Steer: m.steering(j).Record(), Origin: s.Origin,
		}
		if claim != nil {
			o.Claim = &record.Claim{Send: s.Send, To: uint32(claim.n), Attempt: 1, Changes: m.applied}
		}
		seq := m.put(&record.Envelope{Body: &record.Envelope_Open{Open: o}}, record.Of(j.content))
		if claim != nil {
			m.hold(claim, seq)
		}
	}
	j.stage, j.first, j.deadline = sent, nil, time.Time{}
}

// readOpen is called for an open of ours that was read back.
func (m *Machine) readOpen(o *record.Open, v ledger.Verdict) {
	at := slices.IndexFunc(m.opening, func(j *job) bool { return j.stage == sent && j.position == o.Slice })
	if at < 0 || v.InForce && !v.Opened {
		return // a chunk before the last
	}
	j := m.opening[at]
	var first *task
	if o.Claim != nil {
		first = m.claims[o.Stamp.Seq]
	}
	if !v.InForce {
		if first != nil {
			delete(m.claims, o.Stamp.Seq)
			m.held -= first.n
			m.finishTask(first)
		}
		// Cancelled while its open carried a claim: it opens without one, if its
		// turn has not passed. If it has, the send stays cancelled and unopened here.
		turn := at+1 == len(m.opening) || m.opening[at+1].stage != sent
		if o.Claim != nil && m.fold.Cancelled(j.id) && turn {
			j.stage, j.plain = evaluated, true
			return
		}
		m.opening = slices.Delete(m.opening, at, at+1)
		m.emit(Forget{Slice: j.position})
		return
	}
	m.opening = slices.Delete(m.opening, at, at+1)
	m.jobs[j.id] = j
	m.opened(j, v.Send)
	if first != nil {
		f := j.feedOf(0)
		f.from = first.n
		if f.from == v.Send.Page(0).Size() {
			f.at, f.from = 1, 0
		}
		first.feed = f
		m.readClaim(o.Stamp.Seq, v)
	}
}
