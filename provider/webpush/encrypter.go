package webpush

import (
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/provider"
)

const (
	// chunk is how many messages a worker encrypts in one turn: 2 ms without a
	// stock, 50 us with one.
	chunk = 32

	// strangersTurn: one turn in so many is for origins that nobody knows, while
	// others have work.
	strangersTurn = 4

	// raiseAfter is how long finished messages may wait for more of their batch,
	// so that what a writer gets is worth a write.
	raiseAfter = time.Millisecond

	// sweepAfter is how soon a batch that waits for room notices that it was
	// stopped.
	sweepAfter = 100 * time.Millisecond
)

// encrypter encrypts batches ahead of the writers of their connections, so that
// these only copy. Its workers, one less than there are processors, take the
// lanes in turns and end when there is nothing to do.
type encrypter struct {
	workers int
	limit   int // bytes of bodies
	sealers sync.Pool
	bodies  sync.Pool

	mu      sync.Mutex
	running int
	held    int        // bytes of bodies
	turns   [2][]*line // of origins known or listed, of others
	turn    int
	stuck   []*line // wait for room
	swept   bool    // a look at them is due
}

// line is the batches of one lane in the order of Send.
type line struct {
	encrypter *encrypter
	lane      *lane
	jobs      []*job // not yet all encrypted; those in hand come first
	open      int    // Done was not called
	held      int    // bytes of bodies
	queued    bool   // in turns or stuck
	closed    bool
	emptied   sync.Cond
}

func newEncrypter(limit int) *encrypter {
	return &encrypter{workers: max(1, runtime.GOMAXPROCS(0)-1), limit: limit}
}

func newLine(e *encrypter, l *lane) *line {
	x := &line{encrypter: e, lane: l}
	x.emptied.L = &e.mu
	return x
}

// add puts a job at the end of its line.
func (x *line) add(j *job) {
	e := x.encrypter
	e.mu.Lock()
	defer e.mu.Unlock()
	x.open++
	x.jobs = append(x.jobs, j)
	e.queue(x)
}

// close gives back what is not in hand. Then wait returns when Done was called
// for all, which the lane's pool does for what is.
func (x *line) close() {
	x.encrypter.mu.Lock()
	defer x.encrypter.mu.Unlock()
	x.closed = true
	x.encrypter.unstick()
}

func (x *line) wait() {
	x.encrypter.mu.Lock()
	defer x.encrypter.mu.Unlock()
	for x.open > 0 {
		x.emptied.Wait()
	}
}

// queue gives a line its next turn. The lock is held.
func (e *encrypter) queue(x *line) {
	if x.queued || len(x.jobs) == 0 {
		return
	}
	x.queued = true
	class := 0
	if x.lane.stranger {
		class = 1
	}
	e.turns[class] = append(e.turns[class], x)
	if e.running < e.workers {
		e.running++
		go e.work()
	}
}

// next takes the line whose turn it is. The lock is held.
func (e *encrypter) next() *line {
	e.turn++
	class := 0
	if len(e.turns[0]) == 0 || e.turn%strangersTurn == 0 && len(e.turns[1]) > 0 {
		class = 1
	}
	if len(e.turns[class]) == 0 {
		return nil
	}
	x := e.turns[class][0]
	e.turns[class] = slices.Delete(e.turns[class], 0, 1)
	x.queued = false
	return x
}

func (e *encrypter) work() {
	s, _ := e.sealers.Get().(*sealer)
	if s == nil {
		s = new(sealer)
	}
	defer e.sealers.Put(s)
	for {
		e.mu.Lock()
		x := e.next()
		if x == nil {
			e.running--
			e.mu.Unlock()
			return
		}
		j, from, to, dropped := e.claim(x)
		e.mu.Unlock()
		for _, d := range dropped {
			provider.Settle(d.batch, provider.Unsent, provider.Detail{})
		}
		if j != nil {
			e.encrypted(j, from, to, j.encrypt(s, from, to))
		}
		runtime.Gosched() // other providers' pushes may have been waiting
	}
}

// claim takes the next messages of a line, and what was stopped out of it. The
// lock is held.
func (e *encrypter) claim(x *line) (j *job, from, to int, dropped []*job) {
	full := false
	for i := 0; i < len(x.jobs) && j == nil; i++ {
		switch one := x.jobs[i]; {
		case one.over.Load():
			one.next = one.n
		case one.body == nil && one.stopped():
			one.next = one.n
			dropped = append(dropped, one)
		case full || one.body == nil && !e.begin(one):
			full = true
		default:
			j, from, to = one, one.next, min(one.next+chunk, one.n)
			one.next = to
			one.hands++
		}
	}
	x.jobs = slices.DeleteFunc(x.jobs, func(j *job) bool { return j.next == j.n })
	if !full {
		e.queue(x)
		return j, from, to, dropped
	}
	x.queued = true
	e.stuck = append(e.stuck, x)
	if !e.swept {
		e.swept = true
		time.AfterFunc(sweepAfter, func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.swept = false
			e.unstick()
		})
	}
	return j, from, to, dropped
}

// unstick lets lines that wait for room look again. The lock is held.
func (e *encrypter) unstick() {
	stuck := e.stuck
	e.stuck = nil
	for _, x := range stuck {
		x.queued = false
		e.queue(x)
	}
}

// begin hands the job to its lane's pool, which writes as messages get ready.
// There must be room for the bodies; but a lane that holds none may always have
// one batch, so that no lane is held up by others. The lock is held.
func (e *encrypter) begin(j *job) bool {
	x := j.line
	most := e.limit / 4
	if x.lane.stranger {
		most = 0
	}
	if x.held > 0 && (x.held+j.size > most || e.held+j.size > e.limit) {
		return false
	}
	x.held += j.size
	e.held += j.size
	b, _ := e.bodies.Get().(*body)
	if b == nil {
		b = new(body)
	}
	j.body = b
	j.lay()
	x.lane.pool.Submit(j.work())
	return true
}

// encrypted notes what a worker has done, and tells the lane's pool of it when
// it is worth a write. Messages get ready in their order.
func (e *encrypter) encrypted(j *job, from, to int, whole bool) {
	now := time.Now()
	e.mu.Lock()
	j.hands--
	if whole {
		for at := from; at < to; at += chunk {
			j.body.chunks[at/chunk] = true
		}
	}
	for j.done < len(j.body.chunks) && j.body.chunks[j.done] {
		j.done++
	}
	ready := min(j.done*chunk, j.n)
	raise := ready > int(j.ready.Load()) && (ready == j.n || now.Sub(j.raised) >= raiseAfter)
	if raise {
		j.raised = now
		j.ready.Store(int64(ready))
	}
	last := j.hands == 0 && j.over.Load()
	e.mu.Unlock()
	if raise {
		j.line.lane.pool.Raised(&j.ready)
	}
	if last {
		j.complete()
	}
}

// release takes the bodies of a job back. The lock is held.
func (e *encrypter) release(j *job) {
	if j.body == nil {
		return
	}
	e.held -= j.size
	j.line.held -= j.size
	if cap(j.body.text) <= 1<<20 {
		e.bodies.Put(j.body)
	}
	j.body = nil
	e.unstick()
}
