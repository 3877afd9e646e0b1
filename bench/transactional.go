package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/sim"
)

// nation is the town with a large project and many more.
const (
	nationLarge   = iota
	nationPeer    // an Apple account for whoever is not Tocsin
	nationUrgent  // sends while the large one is overloaded
	nationLimited // FCM under a quota
	nationFirst   // of the newsrooms
)

// nation starts the town with many projects.
func (l *lab) nation(ctx context.Context) (*town, error) {
	return l.town(ctx, "nation", nationFirst+electionRooms+bulkRooms)
}

const (
	largeProject = 10_000_000
	bulkSend     = 5_000_000 // and the large project when all is measured

	singleRate   = 5000 // single sends a second ...
	singleLength = 60 * time.Second
	singleInAll  = 30 * time.Second
	singleP99    = 20  // ms from arrival to wire, at most
	duringBulk   = 100 // the same during a bulk send
	bulkSlowed   = 40  // per cent, at most
	loadSockets  = 200 // connections of the generator: a project may have 256 requests under way
	stepFactor   = 1.25
	stepLasting  = 5 * time.Second
)

// large opens the project of nation with the most people.
func (l *lab) large(ctx context.Context) (*newsroom, error) {
	t, err := l.nation(ctx)
	if err != nil {
		return nil, err
	}
	people := audience{provider: tocsin.APNs, project: nationLarge, size: l.scaled(bulkSend),
		cohorts: []int{l.scaled(10_000), l.scaled(100_000), l.scaled(million)}}
	if !l.together {
		people.size, people.cohorts = l.scaled(largeProject), append(people.cohorts, people.size)
	}
	return t.open(ctx, people, 0)
}

// LoadRun is a stretch of single-recipient sends. Times are milliseconds from
// the intended arrival of a request.
type LoadRun struct {
	Rate      float64 `json:"rate"` // offered, requests a second
	Requests  int     `json:"requests"`
	Refused   int     `json:"refused"` // 429 and 503
	Failed    int     `json:"failed"`  // another status, or none
	Lost      int     `json:"lost"`    // acknowledged, and never at the provider
	WireP50   float64 `json:"wire_p50"`
	WireP99   float64 `json:"wire_p99"`
	WireMax   float64 `json:"wire_max"`
	AnswerP50 float64 `json:"answer_p50"`
	AnswerP99 float64 `json:"answer_p99"`
	Node      float64 `json:"node_cpu_s_per_million"` // whatever it does besides included
	Generator float64 `json:"generator_cores"`
}

// holds reports whether every request was served, in time.
func (r *LoadRun) holds(p99 float64) bool {
	return r.Refused+r.Failed+r.Lost == 0 && r.WireP99 <= p99
}

func (r *LoadRun) tell() {
	progress("  %6.0f sends/s: p50 %.1f, p99 %.1f, most %.1f ms to the wire; 202 p99 %.1f ms; %d refused, %d failed, %d lost",
		r.Rate, r.WireP50, r.WireP99, r.WireMax, r.AnswerP99, r.Refused, r.Failed, r.Lost)
}

func (r *LoadRun) row(name string) []string {
	bad := "0"
	if n := r.Refused + r.Failed + r.Lost; n > 0 {
		bad = fmt.Sprintf("%d (%d refused, %d failed, %d lost)", n, r.Refused, r.Failed, r.Lost)
	}
	return []string{name, whole(r.Rate), figure(r.WireP50), figure(r.WireP99), figure(r.WireMax), figure(r.AnswerP99), bad, figure(r.Node), figure(r.Generator)}
}

var loadHead = []string{"", "sends/s offered", "to the wire, ms: p50", "p99", "most", "202 p99", "not served", "node CPU-s per million", "generator, cores"}

// singles is an offer of sends to one recipient each, to one after the other
// of the first people.
func (n *newsroom) singles(arrivals []time.Duration) (*offer, error) {
	base, err := url.Parse(n.town.url)
	if err != nil {
		return nil, err
	}
	run := rand.Text()
	return &offer{arrivals: arrivals, connections: loadSockets,
		dial: func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", base.Host) },
		request: func(b []byte, i int) []byte {
			return n.post(b, base.Host, run, i, `{"class":"transactional","target":{"recipients":[{"user":"`+user(i%n.people.size)+
				`"}]},"message":{"ttl":600,"languages":{"en":{"title":"Your code","body":"It is 424242 and good for ten minutes."}}}}`)
		}}, nil
}

// post appends a request for a send, with an idempotency key of its own.
func (n *newsroom) post(b []byte, host, run string, i int, body string) []byte {
	b = append(append(b, "POST /v1/sends HTTP/1.1\r\nHost: "...), host...)
	b = append(append(b, "\r\nAuthorization: Bearer "...), n.project.Key...)
	b = append(append(b, "\r\nContent-Type: application/json\r\nIdempotency-Key: "...), run...)
	b = strconv.AppendInt(append(b, '-'), int64(i), 10)
	b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(body)), 10)
	return append(append(b, "\r\n\r\n"...), body...)
}

// window is the part of a load that counts: arrivals while another send was
// under way, whose pushes are not theirs.
type window struct {
	from, to time.Time
	tag      uint64 // of the other send
}

// load offers single sends for a time, and measures each from its intended
// arrival to the provider; when during is given, only those in its window. It
// is asked after the load.
func (l *lab) load(ctx context.Context, n *newsroom, rate float64, lasting time.Duration, during func() (window, error)) (run LoadRun, err error) {
	t := n.town
	arrivals := poisson(rate, lasting)
	o, err := n.singles(arrivals)
	if err != nil {
		return run, err
	}
	if err := t.sim.reset(ctx); err != nil {
		return run, err
	}
	work, err := startWork(t.pid, os.Getpid())
	if err != nil {
		return run, err
	}
	shots, start, err := o.fire(ctx)
	if err != nil {
		return run, err
	}
	took := time.Since(start)
	side, err := work.side(len(shots), took)
	if err != nil {
		return run, err
	}
	if err := l.quiet(ctx); err != nil {
		return run, err
	}
	counts := window{start, start.Add(lasting), 0}
	if during != nil {
		if counts, err = during(); err != nil {
			return run, err
		}
	}
	run, err = n.judge(ctx, arrivals, shots, start, counts)
	run.Rate, run.Node, run.Generator = rate, side.Sender, side.Server*float64(len(shots))/1e6/took.Seconds()
	return run, err
}

// judge compares the requests of a window with the provider's ledger.
func (n *newsroom) judge(ctx context.Context, arrivals []time.Duration, shots []shot, start time.Time, counts window) (run LoadRun, err error) {
	at := map[uint64][]int64{} // by device, as they came
	err = n.town.sim.records(ctx, "", func(r *sim.Record) {
		if r.Send != counts.tag && r.Accepted() {
			at[r.Token] = append(at[r.Token], r.At)
		}
	})
	if err != nil {
		return run, err
	}
	for _, times := range at {
		slices.Sort(times)
	}
	var wire, answer []float64
	for i, s := range shots {
		arrived := start.Add(arrivals[i])
		if arrived.Before(counts.from) || arrived.After(counts.to) {
			continue
		}
		run.Requests++
		switch s.status {
		case http.StatusAccepted:
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			run.Refused++
			continue
		default:
			run.Failed++
			continue
		}
		answer = append(answer, (s.answered-arrivals[i]).Seconds()*1000)
		device := sim.Hash(n.people.address(i % n.people.size))
		if times := at[device]; len(times) > 0 {
			wire = append(wire, float64(times[0]-arrived.UnixNano())/1e6)
			at[device] = times[1:]
		} else {
			run.Lost++
		}
	}
	if len(wire) == 0 {
		return run, errors.New("not one of the single sends reached the provider")
	}
	slices.Sort(wire)
	slices.Sort(answer)
	run.WireP50, run.WireP99, run.WireMax = percentile(wire, 0.5), percentile(wire, 0.99), wire[len(wire)-1]
	run.AnswerP50, run.AnswerP99 = percentile(answer, 0.5), percentile(answer, 0.99)
	return run, nil
}

// Transactional is every figure of that measurement.
type Transactional struct {
	Steady []LoadRun    `json:"steady"`
	Steps  []LoadRun    `json:"steps"` // up to the one that broke, or down to the one that held
	Alone  []float64    `json:"bulk_alone"`
	During []BulkBeside `json:"during_bulk"`
}

// BulkBeside is a bulk send with single sends beside it.
type BulkBeside struct {
	Bulk    float64 `json:"bulk_pushes_per_second"`
	Singles LoadRun `json:"singles"`
}

func transactional(ctx context.Context, l *lab, s *Section) error {
	n, err := l.large(ctx)
	if err != nil {
		return err
	}
	var all Transactional
	if _, err := l.steady(ctx); err != nil {
		return err
	}
	if _, err := l.load(ctx, n, 500, l.lasting(2*time.Second), nil); err != nil { // warm
		return err
	}
	length := l.shorter(singleLength, singleInAll)
	for range l.repeats {
		run, err := l.load(ctx, n, singleRate, length, nil)
		if err != nil {
			return n.town.failure(err)
		}
		run.tell()
		all.Steady = append(all.Steady, run)
	}
	if all.Steps, err = l.steps(ctx, n, all.Steady[0].holds(singleP99)); err != nil {
		return n.town.failure(err)
	}
	for range l.repeats {
		bulk, err := n.measure(ctx, news, l.scaled(bulkSend))
		if err != nil {
			return n.town.failure(err)
		}
		all.Alone = append(all.Alone, bulk.Rate)
		if err := l.quiet(ctx); err != nil {
			return err
		}
		beside, err := l.bulkBeside(ctx, n, float64(l.scaled(bulkSend))/bulk.Rate)
		if err != nil {
			return n.town.failure(err)
		}
		progress("  during a bulk send: p99 %.1f ms, bulk %.0f/s against %.0f/s alone", beside.Singles.WireP99, beside.Bulk, bulk.Rate)
		all.During = append(all.During, *beside)
	}
	transactionalSection(s, &all, l.scaled(bulkSend), length)
	return nil
}

// steps raises the rate until it breaks; where it broke from the first, it
// lowers the rate faster until it holds. Ten steps are the most, five in all.
func (l *lab) steps(ctx context.Context, n *newsroom, held bool) (runs []LoadRun, err error) {
	factor, most := stepFactor, 10
	if l.together {
		most = 5
	}
	if !held {
		factor, l.broke = 1/(stepFactor*stepFactor), singleRate
	}
	for rate := float64(singleRate); len(runs) < most && (len(runs) == 0 || runs[len(runs)-1].holds(singleP99) == held); {
		rate *= factor
		run, err := l.load(ctx, n, rate, l.lasting(stepLasting), nil)
		if err != nil {
			return nil, err
		}
		run.tell()
		if runs = append(runs, run); !run.holds(singleP99) {
			l.broke = rate
		}
	}
	return runs, nil
}

// bulkBeside sends in bulk a second after single sends began, which go on for
// twice the seconds that the bulk would take alone. Their figures are of those
// that arrived while the bulk was under way.
func (l *lab) bulkBeside(ctx context.Context, n *newsroom, alone float64) (b *BulkBeside, err error) {
	size := l.scaled(bulkSend)
	type ended struct {
		send *client.Send
		err  error
	}
	done := make(chan ended, 1)
	go func() {
		if err := pause(ctx, time.Second); err != nil {
			done <- ended{nil, err}
			return
		}
		send, err := n.finish(ctx, client.SendRequest{Class: tocsin.Normal, Target: n.everybody(size), Message: news})
		done <- ended{send, err}
	}()
	var bulk ended
	run, err := l.load(ctx, n, singleRate, time.Second+time.Duration(2*alone*1e9), func() (window, error) {
		if bulk = <-done; bulk.err != nil {
			return window{}, bulk.err
		}
		if err := balanced(bulk.send, size); err != nil {
			return window{}, err
		}
		due := bulk.send.DueAt
		return window{due, due.Add(time.Duration(bulk.send.Drift.Last * 1e6)), sim.Hash(content.Collapse(n.project.ID, bulk.send.ID))}, nil
	})
	if err != nil {
		return nil, err
	}
	return &BulkBeside{float64(size) / bulk.send.Drift.Last * 1000, run}, nil
}

// edge is the highest rate that held and the lowest that broke; 0 is none.
func (all *Transactional) edge() (held, broke float64) {
	for _, r := range append(all.Steady[:1:1], all.Steps...) {
		switch {
		case r.holds(singleP99):
			held = max(held, r.Rate)
		case broke == 0 || r.Rate < broke:
			broke = r.Rate
		}
	}
	return held, broke
}

func verdict(held, broke float64) string {
	switch {
	case held == 0:
		return fmt.Sprintf("It broke at every rate tried, down to %s sends a second", whole(broke))
	case broke == 0:
		return fmt.Sprintf("It held at every rate tried, up to %s sends a second", whole(held))
	}
	return fmt.Sprintf("It held %s sends a second and broke at %s", whole(held), whole(broke))
}

func transactionalSection(s *Section, all *Transactional, bulk int, length time.Duration) {
	s.Title = "Single sends: from the request to the wire"
	held, broke := all.edge()
	s.Text = []string{fmt.Sprintf("API sends of class transactional to one recipient each, arriving at random (Poisson) whether the node keeps up or not, over %d connections kept alive; "+
		"measured from the *intended* arrival to the provider's socket, so that a stall delays all that arrive meanwhile. Each is its own idempotency key, durable record, claim and outcome. "+
		"Generator, node and simulator share the cores. %s: it breaks when p99 is beyond %d ms, or a request is not served.",
		loadSockets, verdict(held, broke), singleP99)}
	t := Table{Head: loadHead}
	for i := range all.Steady {
		t.add(all.Steady[i].row(fmt.Sprintf("for %v", length))...)
	}
	for i := range all.Steps {
		t.add(all.Steps[i].row(fmt.Sprintf("for %v", stepLasting))...)
	}
	for i := range all.During {
		t.add(all.During[i].Singles.row("during a bulk send of " + whole(float64(bulk)))...)
	}
	slowed := make([]float64, len(all.During))
	for i := range all.During {
		slowed[i] = 100 * (1 - all.During[i].Bulk/all.Alone[i])
	}
	s.Tables, s.Rounds = []Table{t}, all
	wire := func(r *LoadRun) float64 { return r.WireP99 }
	s.Checks = []Check{
		atMost(fmt.Sprintf("p99 to the wire at %d/s", singleRate), "ms", singleP99, 0, of(all.Steady, wire)),
		atMost("the same during a bulk send", "ms", duringBulk, 0, of(all.During, func(b *BulkBeside) float64 { return b.Singles.WireP99 })),
		atMost("bulk send slowed by it", "%", bulkSlowed, 0, slowed),
		atMost("requests not served", "", 0, 0, of(all.Steady, func(r *LoadRun) float64 { return float64(r.Refused + r.Failed + r.Lost) })),
		shown("rate at which it broke", "sends/s", []float64{broke}),
	}
}
