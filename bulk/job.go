package bulk

import (
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// Pushes writes what differs between the pushes of one batch and judges its
// answers. The append methods are called by the connection's writer, Judge by
// its reader, each by one goroutine at a time.
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
	// answer.
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

// job is a Work on its way. next and the fields of Work are the writer's; the
// others are guarded by the connection's mutex once a connection has it.
type job struct {
	Work
	epoch uint64 // of the pool when it came; an older one is halted
	n     int
	next  int // first push that was not put into a buffer

	// left counts the pushes without a result, and one more as long as the
	// writer may still touch the batch. Whoever brings it to 0 calls Done.
	left int

	// status[i] is the final status of a push whose answer has begun and not
	// ended.
	status []uint16
}

func newJob(w Work, epoch uint64) *job {
	n := len(w.Batch.Addresses)
	if len(w.Batch.Results) != n {
		w.Batch.Results = make([]provider.Result, n)
	} else {
		clear(w.Batch.Results)
	}
	w.Batch.Details, w.Batch.Wrote = w.Batch.Details[:0], w.Batch.Wrote[:0]
	return &job{Work: w, epoch: epoch, n: n, left: n + 1, status: make([]uint16, n)}
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
		j.Batch.Details = append(j.Batch.Details, d)
	}
}

// abandon settles all that was not put into a buffer, and lets go of the
// writer's hold.
func (j *job) abandon(r provider.Result, d provider.Detail) {
	for ; j.next < j.n; j.next++ {
		j.settle(j.next, r, d)
	}
	j.left--
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
