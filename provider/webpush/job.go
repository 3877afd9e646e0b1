package webpush

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// job is one batch on its way. Fields without a word are set once; it
// implements bulk.Pushes.
type job struct {
	line  *line
	batch *provider.Batch
	then  func(*provider.Batch) // Done as the sender set it
	shape *bulk.Shape
	halts uint64 // of the lane when the batch came
	n     int
	size  int // bytes of its bodies

	ready atomic.Int64 // messages, from the first on, that may be written
	over  atomic.Bool  // the pool has called Done; set under the lock

	// Guarded by the encrypter.
	body   *body // while it is in hand
	next   int   // first message that no worker took
	hands  int   // workers that have some of it
	done   int   // chunks, from the first on, that are encrypted
	raised time.Time
}

// body is what is encrypted of a batch. A worker has a chunk to itself.
type body struct {
	text   []byte
	marks  []mark
	chunks []bool // encrypted
}

// mark says where the parts of a request are.
type mark struct {
	at       uint32        // in text
	path, to uint32        // in the stored address
	why      tocsin.Reason // not to be sent
}

func (l *lane) newJob(b *provider.Batch, shape *bulk.Shape) *job {
	j := &job{line: l.line, batch: b, then: b.Done, shape: shape, halts: l.halts.Load(), n: len(b.Addresses)}
	for _, text := range b.Payloads {
		j.size += bodyLen(text)
	}
	b.Done = j.finish
	return j
}

// stopped reports whether a job that is not in hand yet is wanted no more.
func (j *job) stopped() bool {
	return j.batch.Stop.Load() || j.line.closed || j.halts != j.line.lane.halts.Load()
}

// lay makes room for every message of the batch.
func (j *job) lay() {
	b := j.body
	b.text = slices.Grow(b.text[:0], j.size)[:j.size]
	b.marks = slices.Grow(b.marks[:0], j.n)[:j.n]
	at := 0
	for i := range b.marks {
		b.marks[i] = mark{at: uint32(at)}
		at += bodyLen(j.batch.Payloads[i])
	}
	chunks := (j.n + chunk - 1) / chunk
	b.chunks = slices.Grow(b.chunks[:0], chunks)[:chunks]
	clear(b.chunks)
}

// encrypt prepares some messages of the batch, and reports whether all of them
// are, rather than that the batch was stopped.
func (j *job) encrypt(s *sealer, from, to int) bool {
	today := j.line.lane.provider.today()
	for i := from; i < to; i++ {
		if j.batch.Stop.Load() || j.over.Load() {
			return false
		}
		m, text, stored := &j.body.marks[i], j.batch.Payloads[i], j.batch.Addresses[i]
		sub, ok := open(stored, j.line.lane.origin)
		switch {
		case !ok:
			m.why = tocsin.ReasonAddress
			continue
		case len(text) > maxText:
			m.why = tocsin.ReasonSize
			continue
		}
		m.to = uint32(len(stored) - publicLen - authLen)
		m.path = m.to - uint32(len(sub.path))
		var of secret
		if of, m.why = j.secret(s, sub, today); m.why != 0 {
			continue
		}
		if _, err := s.appendBody(j.body.text[m.at:m.at], text, &of, s.salt()); err != nil {
			m.why = tocsin.ReasonRender
		}
	}
	return true
}

// secret takes the subscription's secret from the stock, or makes one.
func (j *job) secret(s *sealer, sub subscription, today uint16) (of secret, why tocsin.Reason) {
	p := j.line.lane.provider
	if !j.line.lane.stranger {
		var ok bool
		if of, ok = p.stock.take(tagOf(sub), sub, today); ok {
			return of, 0
		}
	}
	own, err := p.pairs.take()
	if err != nil {
		return of, tocsin.ReasonRender
	}
	if of, err = s.agree(own, sub.public, sub.auth); err != nil { // p256dh is no point of the curve
		p.stock.forget(tagOf(sub))
		return of, tocsin.ReasonToken
	}
	return of, 0
}

func (j *job) work() bulk.Work {
	return bulk.Work{Batch: j.batch, Shape: j.shape, Pushes: j, Ready: &j.ready}
}

// finish is Done of the batch for the pool. The sender's comes when no worker
// has any of it.
func (j *job) finish(*provider.Batch) {
	e := j.line.encrypter
	e.mu.Lock()
	j.over.Store(true)
	last := j.hands == 0
	e.mu.Unlock()
	if last {
		j.complete()
	}
}

func (j *job) complete() {
	x := j.line
	x.encrypter.mu.Lock()
	x.encrypter.release(j)
	x.encrypter.mu.Unlock()
	j.batch.Done = j.then
	j.then(j.batch)
	x.encrypter.mu.Lock()
	if x.open--; x.open == 0 {
		x.emptied.Broadcast()
	}
	x.encrypter.mu.Unlock()
	x.lane.provider.prepareMore()
}

func (j *job) AppendPath(dst []byte, i int) []byte {
	m := &j.body.marks[i]
	return append(dst, j.batch.Addresses[i][m.path:m.to]...)
}

func (j *job) AppendUnique(dst []byte, _ int) []byte { return dst }

func (j *job) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	m := &j.body.marks[i]
	if m.why != 0 {
		return dst, m.why
	}
	return append(dst, j.body.text[m.at:][:bodyLen(j.batch.Payloads[i])]...), 0
}

func (j *job) Judge(i int, a *bulk.Answer) bulk.Verdict {
	l := j.line.lane
	v := judge(a)
	switch v.Result {
	case provider.Fault:
		if !l.refusals.Refused(l.pool.Accepted(), 0) {
			// Others are accepted with the same token: it is this subscription,
			// made with another key, or a service that errs.
			v.Result, v.Detail.Reason = provider.Later, tocsin.ReasonTopic
			break
		}
		l.halts.CompareAndSwap(j.halts, j.halts+1) // as the pool does with what it has
	case provider.Gone:
		if sub, ok := open(j.batch.Addresses[i], l.origin); ok {
			l.provider.stock.forget(tagOf(sub))
		}
	}
	return v
}
