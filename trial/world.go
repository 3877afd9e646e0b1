package trial

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"math/rand/v2"
	"time"

	"github.com/tocsin-push/tocsin"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// Options are the size of a history.
type Options struct {
	Shards     int
	Processes  int
	Recipients int // of each large send
	Faults     int
}

// Default is the size that the tests run.
func Default() Options { return Options{Shards: 2, Processes: 2, Recipients: 200, Faults: 10} }

// Result is what came of a history.
type Result struct {
	Seed    uint64
	Trace   uint64 // hash over everything that happened
	Broken  []string
	Reached [states]int // how often each fault and rare state was met
	Events  int
	Virtual time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("seed %d: %d events in %v, trace %016x, broken: %q", r.Seed, r.Events, r.Virtual, r.Trace, r.Broken)
}

var table = crc32.MakeTable(crc32.Castagnoli)

var dawn = time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)

// World is one history under way.
type World struct {
	options Options
	random  *rand.Rand
	now     time.Time
	queue   queue
	count   uint64
	trace   uint64
	line    []byte
	result  Result

	journal   *journalmem.Journal
	store     *storemem.Store
	logs      map[logKey]*log
	processes []*process
	seats     []*process // who is assigned a shard
	projects  []*project
	provider  *simulated
	sends     []*request
	truth     truth
	lastID    uint64 // those of the town come first
	healing   bool
	stepped   bool       // a clock was set
	restless  bool       // people move while sends are asked for
	faulty    [kinds]int // draws left of each engine fault

	offers []offer // per shard
	repeat []bool  // per shard: the last take comes again to whoever gets it next
}

// event is a place in the queue; what is to be done stands in a slot of its
// own, so that the queue holds no pointers.
type event struct {
	at   int64
	n    uint64
	slot int
}

type slot struct {
	what string
	do   func()
	life *process // whose it is, in the life begun with incarnation; nil for the world's own
	inc  uint64
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.n < o.n }

// queue is a binary heap.
type queue struct {
	heap  []event
	slots []slot
	free  []int
}

func (q *queue) push(at time.Time, n uint64, s slot) {
	e := event{at: at.UnixNano(), n: n, slot: len(q.slots)}
	if k := len(q.free); k > 0 {
		e.slot, q.free = q.free[k-1], q.free[:k-1]
		q.slots[e.slot] = s
	} else {
		q.slots = append(q.slots, s)
	}
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !e.before(q.heap[up]) {
			break
		}
		q.heap[i] = q.heap[up]
		i = up
	}
	q.heap[i] = e
}

func (q *queue) pop() (at time.Time, s slot) {
	top := q.heap[0]
	last := q.heap[len(q.heap)-1]
	q.heap = q.heap[:len(q.heap)-1]
	i := 0
	for {
		down := 2*i + 1
		if down >= len(q.heap) {
			break
		}
		if down+1 < len(q.heap) && q.heap[down+1].before(q.heap[down]) {
			down++
		}
		if !q.heap[down].before(last) {
			break
		}
		q.heap[i] = q.heap[down]
		i = down
	}
	if len(q.heap) > 0 {
		q.heap[i] = last
	}
	s = q.slots[top.slot]
	q.slots[top.slot] = slot{}
	q.free = append(q.free, top.slot)
	return time.Unix(0, top.at).UTC(), s
}

// after lets something happen later in the world, whoever lives then.
func (w *World) after(d time.Duration, what string, do func()) {
	w.schedule(d, slot{what: what, do: do})
}

func (w *World) schedule(d time.Duration, s slot) {
	w.count++
	w.queue.push(w.now.Add(d), w.count, s)
}

// between draws a duration.
func (w *World) between(low, high time.Duration) time.Duration {
	return low + time.Duration(w.random.Int64N(int64(high-low)+1))
}

// chance is true once in n draws.
func (w *World) chance(n int) bool { return w.random.IntN(n) == 0 }

// newID is a number that nothing in the history had before.
func (w *World) newID() uint64 {
	w.lastID++
	return w.lastID
}

// mark adds to the trace.
func (w *World) mark(what string, data []byte) {
	w.line = append(append(w.line[:0], what...), data...)
	w.trace = bits.RotateLeft64(w.trace*0x9e3779b97f4a7c15, 29) ^ uint64(crc32.Checksum(w.line, table))
}

func (w *World) reach(s state) { w.result.Reached[s]++ }

func (w *World) broken(law, format string, args ...any) {
	if len(w.result.Broken) < 20 {
		w.result.Broken = append(w.result.Broken, fmt.Sprintf("%s at %v: ", law, w.now.Sub(dawn))+fmt.Sprintf(format, args...))
	}
}

const (
	troubled = 8 * time.Second   // faults begin before this
	healed   = 14 * time.Second  // and have ended here
	patience = 180 * time.Second // everything must have drained by then (law L8)
	overlong = 200_000           // or after so many events
)

// Run plays the history of a seed to its end.
func (t *Town) Run(seed uint64) (r Result) {
	o := t.options
	w := &World{options: o, random: rand.New(rand.NewPCG(seed, 0x70c51)), now: dawn, logs: map[logKey]*log{},
		journal: journalmem.New(), offers: make([]offer, o.Shards), repeat: make([]bool, o.Shards), truth: newTruth(o.Shards), seats: make([]*process, o.Shards)}
	w.result.Seed = seed
	w.lastID = uint64(len(t.projects) * o.Shards)
	w.store = storemem.New(func() time.Time { return w.now })
	defer func() {
		// A machine that panics has broken a promise of its own.
		if p := recover(); p != nil {
			w.broken("panic", "%v", p)
			r = w.end()
		}
	}()
	w.found()
	t.settle(w)
	w.plot()
	var stamp [8]byte
	for len(w.queue.heap) > 0 && len(w.result.Broken) == 0 {
		at, e := w.queue.pop()
		w.now = at
		w.result.Events++
		binary.LittleEndian.PutUint64(stamp[:], uint64(at.UnixNano()))
		w.mark(e.what, stamp[:])
		e.run()
		if w.healing && w.settled() {
			break
		}
		if w.now.Sub(dawn) > patience || w.result.Events > overlong {
			w.broken("L8", "%s", w.stuck())
			break
		}
	}
	if len(w.result.Broken) == 0 {
		w.judge()
	}
	return w.end()
}

func (w *World) end() Result {
	w.result.Trace, w.result.Virtual = w.trace, w.now.Sub(dawn)
	return w.result
}

// found sets up processes and projects.
func (w *World) found() {
	w.provider = &simulated{w: w, gone: map[string]gone{}}
	for i := range 2 {
		p := newProject(i)
		for provider := tocsin.APNs; provider <= tocsin.FCM; provider++ {
			c := &credential{provider: provider, version: 1}
			c.id[0], c.id[1] = byte(i+1), byte(provider)
			c.subject = fmt.Sprintf("%v-%d", provider, i)
			if w.chance(8) {
				c.quota = []int{6_000, 12_000, 1_500}[w.random.IntN(3)]
			}
			p.credentials = append(p.credentials, c)
		}
		w.projects = append(w.projects, p)
	}
	for i := range w.options.Processes {
		w.processes = append(w.processes, &process{w: w, number: i})
	}
	for _, p := range w.processes {
		p.start()
	}
	for shard := range w.options.Shards {
		w.assign(tocsin.Shard(shard), w.processes[shard%len(w.processes)])
	}
}

// project is a tenant with its credentials and its people.
type project struct {
	id          tocsin.ProjectID
	number      int
	credentials []*credential
	people      []*person
}

func newProject(number int) *project {
	p := &project{number: number}
	p.id[0], p.id[1] = byte(number+1), 0x77
	return p
}

type credential struct {
	id       tocsin.CredentialID
	provider tocsin.Provider
	subject  string
	quota    int // pushes a minute; 0 none
	version  int
	refused  bool // by the provider, until it is replaced
}

// ramp is that of the provider, in proportion to the short lives of a history.
func (c *credential) ramp() time.Duration {
	if c.provider == tocsin.FCM {
		return 2 * time.Second
	}
	return 0
}

func (p *project) credential(provider tocsin.Provider) *credential { return p.credentials[provider-1] }
