package bulk

import (
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// Pushes writes what differs between the pushes of one batch and judges its
// answers. The append methods are called by one goroutine at a time, and again
// for a push whose connection closed before it was written; Judge may be called
// for several pushes at once.
type Pushes interface {
	// AppendPath appends :path of push i; called when Shape.Path is empty.
	AppendPath(dst []byte, i int) []byte

	// AppendUnique appends the value of Shape.Unique for push i; called when
	// the shape has one.
	AppendUnique(dst []byte, i int) []byte

	// AppendBody appends the body of push i. With a reason the push is not
	// sent and ends Refused.
	AppendBody(dst []byte, i int) ([]byte, tocsin.Reason)

	// Judge says what an answer other than 2xx means for push i. The answer is
	// valid during the call.
	Judge(i int, a *Answer) Verdict
}

// Answer is what a push service said of one push.
type Answer struct {
	Status     int
	RetryAfter time.Duration // 0: not asked for
	Body       []byte        // at most 4 KiB of it
	Note       string        // header x-wns-error-description
}

// Verdict is the meaning of an answer. Its Detail's Index is set by the pool.
// Every Fault also halts.
type Verdict struct {
	Result provider.Result
	Detail provider.Detail

	// Halt: nothing that was queued so far is written any more, as its token is
	// not good. The rest of it is Unsent.
	Halt bool

	// Reconnect: the connection takes no more pushes and ends with its last
	// answer. The rest of its batch goes on over another one.
	Reconnect bool
}

// Work is a batch with the way it is written.
type Work struct {
	Batch  *provider.Batch
	Shape  *Shape
	Pushes Pushes

	// Ready, when set, counts the pushes, from the first on, that may be written
	// by now; the append methods are not asked for others. Whoever raises it
	// calls Pool.Raised.
	Ready *atomic.Int64
}

// job is a Work on its way, or what was left of one when its connection took no
// more. next and the fields of Work are the writer's; the others are guarded by
// the connection's mutex once a connection has it.
type job struct {
	Work
	epoch uint64 // of the pool when it came; an older one is halted
	from  int    // pushes from to n-1 are its own
	n     int
	next  int // first push that was not put into a buffer

	// left counts the pushes without a result, and one more as long as the
	// writer may still touch the batch. Whoever brings it to 0 hands it over.
	left int

	heard   []heard // by push of the batch; the parts of a Work share it
	details []provider.Detail
	wrote   []provider.Written

	whole  *job         // the first part, itself for most
	after  *job         // the part that was cut off it
	parts  atomic.Int32 // of the whole: not handed over
	sent   atomic.Int32 // of the whole: pushes written
	beside *job         // another that has ended at the same time
}

// heard is what came so far of an answer that has not ended.
type heard struct {
	status uint16 // the final one, or 0
	body   uint16 // bytes
}

// start takes a Work over. It uses the arrays of an earlier one again.
func (j *job) start(w Work, epoch uint64) {
	n, b := len(w.Batch.Addresses), w.Batch
	if cap(b.Results) < n {
		b.Results = make([]provider.Result, n)
	}
	b.Results = b.Results[:n]
	clear(b.Results)
	if cap(j.heard) < n {
		j.heard = make([]heard, n)
	}
	j.heard = j.heard[:n]
	clear(j.heard)
	j.Work, j.epoch, j.from, j.n, j.next, j.left = w, epoch, 0, n, 0, n+1
	j.details, j.wrote = b.Details[:0], b.Wrote[:0]
	j.whole, j.after = j, nil
	j.parts.Store(1)
	j.sent.Store(0)
	if n == 0 {
		j.left = 0
	}
}

// cut cuts off what no buffer holds, as a job of its own for another connection.
// The writer has let go of the first one then.
func (j *job) cut(r *job) *job {
	r.Work, r.epoch, r.from, r.n, r.next, r.left, r.heard, r.whole = j.Work, j.epoch, j.next, j.n, j.next, 1, j.heard, j.whole
	for _, result := range j.Batch.Results[r.from:r.n] {
		if result == provider.Pending {
			r.left++
		}
	}
	j.after, j.n = r, j.next
	j.left -= r.left
	j.whole.parts.Add(1)
	return r
}

// gather writes what the parts have into the batch, once all are handed over,
// and puts those that were cut off where the next ones come from. A part was cut
// off behind what was written, so that rows stay ascending.
func (j *job) gather(rests *shelf[job]) {
	for p := j.after; p != nil; {
		next := p.after
		j.details, j.wrote = append(j.details, p.details...), append(j.wrote, p.wrote...)
		clear(p.details)
		details, wrote := p.details[:0], p.wrote[:0]
		p.forget()
		p.heard, p.details, p.wrote = nil, details, wrote
		rests.put(p)
		p = next
	}
	j.Batch.Details, j.Batch.Wrote = j.details, j.wrote
}

// forget lets go of what is not the pool's.
func (j *job) forget() {
	j.Work, j.details, j.wrote, j.whole, j.after, j.beside = Work{}, nil, nil, nil, nil, nil
}

// settle gives a push its result, once.
func (j *job) settle(i int, r provider.Result, d provider.Detail) {
	if j.Batch.Results[i] != provider.Pending {
		return
	}
	j.Batch.Results[i] = r
	j.left--
	if d != (provider.Detail{}) {
		d.Index = i
		j.details = append(j.details, d)
	}
}

// abandon settles all that was not put into a buffer, and lets go of the
// writer's hold.
func (j *job) abandon(r provider.Result, d provider.Detail) {
	for ; j.next < j.n; j.next++ {
		j.settle(j.next, r, d)
	}
	j.letGo()
}

// letGo ends the writer's hold, which the parts of a Work pass on: all that
// will ever be written of it is.
func (j *job) letGo() {
	j.left--
	if j.Batch.Left != nil {
		j.Batch.Left(int(j.whole.sent.Load()))
	}
}

// run is a row of pushes of one batch on a row of streams: push from+k is on
// stream first+2k.
type run struct {
	job   *job
	first uint32
	from  int
	n     int
	left  int
	at    time.Time // when it was about to be written
}

// runs are the streams under way, in rising order of streams.
type runs struct {
	list []run
	last int // where the last search ended: answers come mostly in order
}

func (r *runs) add(x run) {
	if len(r.list) == cap(r.list) {
		kept := r.list[:0]
		for _, old := range r.list {
			if old.left > 0 {
				kept = append(kept, old)
			}
		}
		clear(r.list[len(kept):])
		r.list, r.last = kept, 0
	}
	r.list = append(r.list, x)
}

// find returns the run that holds the stream, or nil.
func (r *runs) find(stream uint32) *run {
	if r.last < len(r.list) && r.list[r.last].has(stream) {
		return &r.list[r.last]
	}
	low, high := 0, len(r.list)
	for low < high {
		if mid := (low + high) / 2; r.list[mid].first+2*uint32(r.list[mid].n) <= stream {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low < len(r.list) && r.list[low].has(stream) {
		r.last = low
		return &r.list[low]
	}
	return nil
}

func (x *run) has(stream uint32) bool {
	return stream-x.first < 2*uint32(x.n) && x.left > 0
}

func (x *run) index(stream uint32) int { return x.from + int(stream-x.first)/2 }
