package bulk

import (
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// maxPath bounds :path. Servers take no longer ones.
const maxPath = 8 << 10

// grant is what the writer may use for one buffer.
type grant struct {
	room   int   // streams
	window int64 // bytes of DATA on the connection
	stream int64 // bytes of DATA on a new stream
	frame  int   // bytes of a frame
}

// draft is what the writer has put into its buffer and not yet shared.
type draft struct {
	runs  []run
	spans []span
	ended []*job // all of it is in buffers
	cut   rest   // the body that did not fit into the windows
	used  int64  // bytes of DATA
}

// span is a row of pushes whose last byte one write sends.
type span struct {
	job      *job
	from, to int
}

// write is the writer: it waits for something to send, gathers one buffer and
// writes it, until the connection is over.
func (c *conn) write() {
	defer c.left()
	for {
		g, ok := c.await()
		if !ok {
			return
		}
		c.fill(g)
		if err := c.send(); err != nil {
			c.fail(err)
			return
		}
	}
}

// await returns when there is something to write, with the control frames
// already in the buffer.
func (c *conn) await() (grant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil {
		room := c.allowed() - c.inflight
		if c.leave != nil {
			room = 0
		}
		work := false
		c.starves = nil
		switch {
		case c.rest.job != nil:
			work = c.rest.body == nil || min(c.window, c.rest.window) > 0
		case c.job != nil:
			work = !c.waits(c.job) && room > 0 || c.leave != nil || c.halted(c.job)
		default:
			work = c.poked && room > 0
			if c.leave != nil && c.inflight == 0 && len(c.ctrl) == 0 {
				c.failLocked(c.leave)
				return grant{}, false
			}
		}
		if work || len(c.ctrl) > 0 {
			c.bare = false
			c.lack(false)
			c.held = c.pool.buffers.get()
			c.buf = append(c.held.b, c.ctrl...)
			c.control, c.ctrl = len(c.buf), c.ctrl[:0]
			if c.hasPing {
				c.hasPing, c.pinged = false, time.Now()
			}
			c.enc.setLimit(c.tableLeast)
			c.enc.setLimit(c.tableLimit)
			c.tableLeast = c.tableLimit
			return grant{room: room, window: c.window, stream: c.streamOpen, frame: c.frameSize}, true
		}
		if c.job != nil && c.rest.job == nil && c.starves == nil && c.yield() {
			continue
		}
		if c.starves != nil { // not for want of streams
			c.full.Store(false)
		} else if c.job != nil || c.rest.job != nil || c.poked && room <= 0 {
			if !c.full.Swap(true) { // streams or a window are used up
				c.pool.wake()
			}
		}
		if !c.bare && c.job == nil && c.rest.job == nil {
			c.bare = true
			if c.hint(); c.offers {
				c.unlockAndTell()
				c.mu.Lock()
				continue
			}
		}
		c.wake.Wait()
	}
	return grant{}, false
}

// fill appends pushes to the buffer until it is full, the streams are used up
// or there is no more work.
func (c *conn) fill(g grant) {
	if c.rest.job != nil {
		c.goOn(g.frame)
		return
	}
	for c.draft.cut.job == nil {
		j := c.job
		if j == nil {
			if g.room <= 0 || len(c.buf) >= c.pool.cfg.Buffer {
				return
			}
			if j = c.next(); j == nil {
				return
			}
		}
		if c.ending(j) {
			return
		}
		c.pushes(j, &g)
		if j.next < j.n {
			return
		}
		if c.draft.cut.job == nil {
			c.job = nil
			c.draft.ended = append(c.draft.ended, j)
		}
	}
}

// next takes a batch from the pool. Without one the pool pokes when it has
// another; with one there may be more, and the writer asks again.
func (c *conn) next() *job {
	c.mu.Lock()
	c.poked = false
	c.mu.Unlock()
	j := c.pool.take(c)
	if j == nil {
		c.full.Store(false)
		return nil
	}
	c.mu.Lock()
	c.job, c.poked = j, true
	c.mu.Unlock()
	return j
}

// ending takes the job off the connection when nothing more of it may leave
// here, and reports that.
func (c *conn) ending(j *job) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nextStream > maxStream {
		c.drain(errWorn)
	}
	if c.leave == nil && !c.halted(j) {
		return false
	}
	c.job = nil
	c.release(j)
	return true
}

// pushes appends pushes of one job, each row of them as a run of streams.
func (c *conn) pushes(j *job, g *grant) {
	x := run{job: j, first: c.nextStream, from: j.next}
	f := c.enc.ready(j.Shape)
	end := j.ready()
	for j.next < end && g.room > 0 && len(c.buf) < c.pool.cfg.Buffer && c.nextStream <= maxStream {
		i, start := j.next, len(c.buf)
		var at int // of the DATA frame
		var why tocsin.Reason
		if f == nil {
			at, why = c.teach(j, i)
			f = c.enc.ready(j.Shape)
		} else {
			at, why = c.request(j, f, i)
		}
		if block := at - start - frameHeader; why == 0 && block > g.frame {
			at += c.continued(start, at, g.frame)
		}
		j.next++
		if why != 0 {
			c.buf = c.buf[:start]
			c.refuse(j, i, why)
			c.row(x)
			x = run{job: j, first: c.nextStream, from: j.next}
			continue
		}
		stream := c.nextStream
		c.nextStream += 2
		x.n++
		g.room--
		n := len(c.buf) - at - frameHeader
		if int64(n) > g.window || int64(n) > g.stream || n > g.frame {
			body := append([]byte{}, c.buf[at+frameHeader:]...)
			c.buf = c.buf[:at]
			c.draft.cut = rest{job: j, index: i, stream: stream, body: body}
			break
		}
		appendFrame(c.buf[:at], n, frameData, flagEndStream, stream)
		g.window -= int64(n)
		c.draft.used += int64(n)
	}
	c.row(x)
}

// row keeps a run and what will have been written of it.
func (c *conn) row(x run) {
	if x.n == 0 {
		return
	}
	c.draft.runs = append(c.draft.runs, x)
	to := x.from + x.n
	if c.draft.cut.job != nil {
		to--
	}
	if to > x.from {
		c.draft.spans = append(c.draft.spans, span{x.job, x.from, to})
	}
}

// request appends HEADERS and DATA of one push, the header of DATA left open.
func (c *conn) request(j *job, f *form, i int) (at int, why tocsin.Reason) {
	start := len(c.buf)
	buf := appendFrame(c.buf, 0, frameHeaders, flagEndHeaders, c.nextStream)
	buf = append(buf, f.before...)
	if j.Shape.Path == "" {
		from := len(buf)
		if buf = appendPath(buf, j.Pushes, i); len(buf)-from > maxPath {
			return 0, tocsin.ReasonAddress
		}
	}
	buf = append(buf, f.after...)
	if j.Shape.Unique != "" {
		buf = appendUnique(buf, j.Pushes, i)
	}
	at = len(buf)
	patchLength(buf[start:], at-start-frameHeader)
	c.buf, why = j.Pushes.AppendBody(appendFrame(buf, 0, 0, 0, 0), i)
	return at, why
}

// teach is request for the first push of a shape in a state of the table. What
// it refuses is refused before the table changes, as the peer will not see it.
func (c *conn) teach(j *job, i int) (at int, why tocsin.Reason) {
	if j.Shape.Path == "" && len(j.Pushes.AppendPath(c.scratch[:0], i)) > maxPath {
		return 0, tocsin.ReasonAddress
	}
	if c.scratch, why = j.Pushes.AppendBody(c.scratch[:0], i); why != 0 {
		return 0, why
	}
	start := len(c.buf)
	c.buf = appendFrame(c.buf, 0, frameHeaders, flagEndHeaders, c.nextStream)
	c.buf = c.enc.teach(c.buf, j.Shape, j.Pushes, i)
	at = len(c.buf)
	patchLength(c.buf[start:], at-start-frameHeader)
	c.buf = append(appendFrame(c.buf, 0, 0, 0, 0), c.scratch...)
	return at, 0
}

func (c *conn) refuse(j *job, i int, why tocsin.Reason) {
	c.mu.Lock()
	j.settle(i, provider.Refused, provider.Detail{Reason: why})
	c.mu.Unlock()
}

// continued spreads the header block that stands in one HEADERS frame over
// CONTINUATION frames (RFC 9113 6.10), and returns by how much the buffer grew.
func (c *conn) continued(start, at, frame int) (grown int) {
	block, tail := slices.Clone(c.buf[start+frameHeader:at]), slices.Clone(c.buf[at:])
	c.buf = c.buf[:start]
	kind := byte(frameHeaders)
	for len(block) > frame {
		c.buf = append(appendFrame(c.buf, frame, kind, 0, c.nextStream), block[:frame]...)
		block, kind = block[frame:], frameContinuation
	}
	c.buf = append(appendFrame(c.buf, len(block), kind, flagEndHeaders, c.nextStream), block...)
	grown = len(c.buf) - at
	c.buf = append(c.buf, tail...)
	return grown
}

// goOn sends more of the body that the windows cut.
func (c *conn) goOn(frame int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := &c.rest
	j := r.job
	if r.body != nil {
		n := int(max(0, min(int64(len(r.body)), c.window, r.window, int64(frame))))
		if n == 0 {
			return
		}
		var flags byte
		if n == len(r.body) {
			flags = flagEndStream
			c.draft.spans = append(c.draft.spans, span{j, r.index, r.index + 1})
		}
		c.buf = append(appendFrame(c.buf, n, frameData, flags, r.stream), r.body[:n]...)
		c.window -= int64(n)
		r.window -= int64(n)
		if r.body = r.body[n:]; len(r.body) > 0 {
			return
		}
	}
	c.rest = rest{}
	if j.next == j.n {
		c.job = nil
		c.draft.ended = append(c.draft.ended, j)
	}
}

// send shares what is in the buffer with the reader, writes it, and records
// when the write returned.
func (c *conn) send() error {
	now := time.Now()
	d := &c.draft
	c.mu.Lock()
	if len(d.runs) > 0 && (c.leave != nil || c.err != nil) {
		c.takeBack()
	}
	over := c.err
	for _, x := range d.runs {
		x.at, x.left = now, x.n
		c.runs.add(x)
		c.inflight += x.n
		c.opened = x.first + 2*uint32(x.n)
	}
	c.window -= d.used
	if d.cut.job != nil {
		c.rest, d.cut = d.cut, rest{}
		c.rest.window = c.streamOpen
	}
	c.worn.Store(c.opened > wornStream)
	c.writing = now
	c.hint()
	c.unlockAndTell()

	err := over
	if err == nil && len(c.buf) > 0 {
		if _, err = c.net.Write(c.buf); err == nil {
			err = c.wire.flush()
		}
	}
	at := time.Now()
	c.held.b = c.buf[:0]
	c.pool.buffers.put(c.held)
	c.held, c.buf = nil, nil

	c.mu.Lock()
	c.writing = time.Time{}
	for _, s := range d.spans {
		if over == nil {
			s.job.wrote = append(s.job.wrote, provider.Written{From: s.from, To: s.to, At: at})
			s.job.whole.sent.Add(int32(s.to - s.from))
		}
	}
	for _, j := range d.ended {
		j.letGo()
		c.finished(j)
	}
	clear(d.runs)
	clear(d.spans)
	clear(d.ended)
	*d = draft{runs: d.runs[:0], spans: d.spans[:0], ended: d.ended[:0]}
	c.unlockAndTell()
	return err
}

// takeBack undoes what was drafted since the peer asked to leave, or was lost:
// it would ignore new streams (RFC 9113 6.8). What they changed in the HPACK
// table does not matter, as no block follows. The lock is held.
func (c *conn) takeBack() {
	d := &c.draft
	for _, x := range slices.Backward(d.runs) {
		x.job.next = x.from
	}
	var last *job
	for _, x := range d.runs {
		if x.job != last {
			last = x.job
			c.release(last)
		}
		d.ended = slices.DeleteFunc(d.ended, func(j *job) bool { return j == x.job })
		if c.job == x.job {
			c.job = nil
		}
	}
	clear(d.runs)
	clear(d.spans)
	d.runs, d.spans, d.cut, d.used = d.runs[:0], d.spans[:0], rest{}, 0
	c.buf = c.buf[:c.control]
}
