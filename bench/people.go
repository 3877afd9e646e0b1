package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// idleTime is how long a node is left alone before its memory is looked at.
const idleTime = time.Minute

// Crowd is what a crowd cost and how fast it answered.
type Crowd struct {
	Import Import       `json:"import"`
	Few    Import       `json:"import_of_few_attributes"`
	Idle   uint64       `json:"idle_bytes"` // resident after the import and a time of rest
	Peak   uint64       `json:"peak_bytes"` // resident at most, importing
	Stats  client.Stats `json:"stats"`      // as the node told then
	Five   *Asked       `json:"five_clauses"`
	Fifty  []*Asked     `json:"fifty_targets"`
	Living *Living      `json:"updates"`
	Held   *Living      `json:"updates_during_a_send"`
	Fresh  *Fresh       `json:"freshness"`
	Sent   int64        `json:"sent"`       // by the send at full speed
	Send   float64      `json:"send_rate"`  // pushes a second
	Sends  uint64       `json:"send_bytes"` // resident at most, sending
}

func askCrowd(ctx context.Context, l *lab, s *Section) (err error) {
	n, err := l.crowded(ctx, 0, l.scaled(10*million))
	if err != nil {
		return err
	}
	r := &Crowd{}
	if r.Import, err = n.enter(ctx, &crowdStream{crowd: &n.crowd, to: n.crowd.size, attributes: traitCount, tags: true}); err != nil {
		return n.town.failure(err)
	}
	if r.Peak, err = peakMemory(n.town.pid); err != nil {
		return err
	}
	peers, err := l.openPeers(ctx, &n.crowd)
	defer func() { err = errors.Join(err, closePeers(peers)) }()
	if err != nil {
		return err
	}
	if err := pause(ctx, l.lasting(idleTime)); err != nil {
		return err
	}
	if r.Idle, err = residentMemory(n.town.pid); err != nil {
		return err
	}
	if r.Stats, err = n.town.admin.Stats(ctx); err != nil {
		return n.town.failure(err)
	}
	progress("  %.0f bytes resident a subscription, %.0f at most while importing", n.each(r.Idle), n.each(r.Peak))
	progress("measuring answers")
	if r.Five, r.Fifty, err = n.answers(ctx, peers); err != nil {
		return n.town.failure(err)
	}
	progress("measuring changes")
	if err := n.change(ctx, l, r); err != nil {
		return n.town.failure(err)
	}
	few, err := l.crowded(ctx, 1, l.scaled(million))
	if err != nil {
		return err
	}
	if r.Few, err = few.enter(ctx, &crowdStream{crowd: &few.crowd, to: few.crowd.size, attributes: fewAttributes}); err != nil {
		return n.town.failure(err)
	}
	crowdSection(s, r, n, peers)
	return nil
}

// fewAttributes is the smaller of the two imports.
const fewAttributes = 5

// each is bytes a subscription.
func (n *crowdRoom) each(bytes uint64) float64 { return float64(bytes) / float64(n.crowd.size) }

// change sends at full speed, then changes people with and without a send at
// half of that, then looks how soon changes are seen.
func (n *crowdRoom) change(ctx context.Context, l *lab, r *Crowd) (err error) {
	people := min(million, n.crowd.size)
	for range 2 { // the first one warms
		if err := resetPeak(n.town.pid); err != nil {
			return err
		}
		last, err := n.sendTo(ctx, people, 0)
		if err != nil {
			return err
		}
		r.Sent, r.Send = last.Counters.Accepted, float64(last.Counters.Accepted)/(last.Drift.Last/1000)
	}
	if r.Sends, err = peakMemory(n.town.pid); err != nil {
		return err
	}
	progress("  %s sent at %s a second, %.0f bytes resident a subscription at most", whole(float64(r.Sent)), whole(r.Send), n.each(r.Sends))
	if r.Living, err = n.updates(ctx, updateRate, l.lasting(updating), 0, 0); err != nil {
		return err
	}
	progress("  %s changes a second, counts p99 %.1f ms", whole(r.Living.Rate), r.Living.P99)
	if r.Held, err = n.updates(ctx, updateRate, l.lasting(updating), people, r.Send/2); err != nil {
		return err
	}
	progress("  %s changes a second, counts p99 %.1f ms, a send held at %s a second went at %s", whole(r.Held.Rate), r.Held.P99, whole(r.Held.Held), whole(r.Held.Kept))
	if r.Fresh, err = n.fresh(ctx, freshRate, l.lasting(freshening)); err != nil {
		return err
	}
	progress("  %s changes a second, seen after %.1f ms (p99 of %d), %d sends had who was just registered", whole(r.Fresh.Changes), r.Fresh.P99, r.Fresh.Probes, r.Fresh.Sends)
	return nil
}

func crowdSection(s *Section, r *Crowd, n *crowdRoom, peers []*database) {
	s.Title = fmt.Sprintf("An audience of %s, and the same questions to PostgreSQL, DuckDB and SQLite", whole(float64(n.crowd.size)))
	s.Command = "scripts/bench-audience"
	s.Text = []string{
		"Seeded people with 20 attributes on average (flags, small and large dictionaries of skewed shares, integers, floats, times, versions, URLs, places) and five sets of tags, 60 % on FCM and 40 % on APNs, come in over the import API, the client beside the node. The five clauses are a country AND active within 30 days AND one topic or another AND opted in; fifty targets have every operator. Constants are drawn anew for each question, nothing is kept of an answer, times are those of the whole request. Databases are asked on a session of their own, with the same constants: each gives the same count, or the run fails. One that took more than a second is not asked the same kind again.",
		fmt.Sprintf("PostgreSQL has 4 GB of shared buffers, an index on each column and GIN on tags, VACUUM ANALYZE; SQLite the same indexes and one on (tag, person); DuckDB its own. Loaded and indexed in %s.", loadTimes(peers)),
		fmt.Sprintf("Memory is that of the node after %v of rest. Garbage was collected %d times; GOGC stood at %d %%, GOMEMLIMIT is %s.", idleTime, r.Stats.Collections, r.Stats.GCPercent, memoryLimit(r.Stats.MemoryLimit)),
	}
	s.Tables, s.Rounds = append(askedTable(r.Five, r.Fifty, peers), memoryTable(r, n), importTable(r), livingTable(r)), r
	var medians, worst []float64
	for _, a := range r.Fifty {
		medians, worst = append(medians, median(a.Ours)), append(worst, a.Ours...)
	}
	one := func(v float64) []float64 { return []float64{v} }
	s.Checks = []Check{
		atMost("five clauses counted, over HTTP", "ms", 20, 3, r.Five.Ours),
		atMost("median of fifty targets", "ms", 20, 0, one(median(medians))),
		atMost("worst answer of fifty targets", "ms", 150, 0, one(spread(worst).Max)),
		atMost("resident memory after a minute of rest", "bytes a subscription", 500, 300, one(n.each(r.Idle))),
		shown("resident memory at most, importing", "bytes a subscription", one(n.each(r.Peak))),
		shown("resident memory at most, sending to a million", "bytes a subscription", one(n.each(r.Sends))),
		atLeast("imported with 20 attributes, durable and targetable", "a second", 100_000, 200_000, one(r.Import.rate())),
		atLeast("imported with 5 attributes", "a second", 150_000, 400_000, one(r.Few.rate())),
		atLeast("attributes of live subscriptions changed", "a second", 0.95*updateRate, 0, one(r.Living.Rate)),
		atMost("p99 of counts meanwhile", "ms", 50, 0, one(r.Living.P99)),
		atMost("p99 of counts with a send at half speed too", "ms", 50, 0, one(r.Held.P99)),
		atLeast("that send's rate, of the one it was held at", "%", 95, 0, one(100*r.Held.Kept/r.Held.Held)),
		atMost("p99 from an answer until a count has the change, at 5,000 changes/s", "ms", 250, 0, one(r.Fresh.P99)),
	}
}

func loadTimes(peers []*database) (text string) {
	for _, b := range peers {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("%.0f s (%s)", b.loaded.Seconds(), dialectNames[b.dialect])
	}
	return text
}

func memoryLimit(bytes int64) string {
	if bytes == math.MaxInt64 {
		return "none"
	}
	return fmt.Sprint(bytes)
}

// memoryTable is what tocsin stats tells, a subscription.
func memoryTable(r *Crowd, n *crowdRoom) Table {
	t := Table{Head: []string{"bytes a subscription, of `tocsin stats`", ""}}
	row := func(name string, bytes int64) { t.add(name, fmt.Sprintf("%.1f", n.each(uint64(max(bytes, 0))))) }
	row("resident", r.Stats.Resident)
	row("audience", r.Stats.Audience)
	for _, part := range r.Stats.Projects[0].Parts {
		if n.each(uint64(part.Bytes)) >= 0.1 {
			row("· "+strings.TrimSpace(part.Kind+" "+part.Name), part.Bytes)
		}
	}
	row("other objects of Go, garbage included", r.Stats.Heap-r.Stats.Audience)
	row("kept by Go for objects to come", r.Stats.Unused)
	row("stacks, and what Go knows of its memory", r.Stats.Overhead)
	return t
}

func importTable(r *Crowd) Table {
	t := Table{Head: []string{"import", "people", "bytes of a line", "people/s until acknowledged", "until targetable", "us of the node's cores each", "of the client's"}}
	for _, i := range []*Import{&r.Import, &r.Few} {
		t.add(fmt.Sprintf("%d attributes", min(i.Attributes, 20)), whole(float64(i.People)), whole(float64(i.Bytes)/float64(i.People)),
			whole(float64(i.People)/i.Durable), whole(i.rate()), figure(i.Node), figure(i.Client))
	}
	return t
}

func livingTable(r *Crowd) Table {
	t := Table{Head: []string{"one attribute of live subscriptions changed", "changes/s", "counts", "p50 ms", "p99 ms", "pushes/s held at", "kept"}}
	for i, v := range []*Living{r.Living, r.Held} {
		cells := []string{[...]string{"while five clauses are counted", "and a send is held at half of its full rate"}[i], whole(v.Rate), fmt.Sprint(v.Asked), figure(v.Counts.Median), figure(v.P99), "", ""}
		if v.Held > 0 {
			cells[5], cells[6] = whole(v.Held), whole(v.Kept)
		}
		t.add(cells...)
	}
	t.add("registered, then counted or sent to at once", whole(r.Fresh.Changes), fmt.Sprint(r.Fresh.Probes), figure(r.Fresh.P50), figure(r.Fresh.P99), "", fmt.Sprintf("%d of %d sends", r.Fresh.Sends, r.Fresh.Sends))
	return t
}
