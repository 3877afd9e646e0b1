package main

import (
	"fmt"
	"math"
	"strings"
)

func crowdSection(s *Section, r *Crowd, n *crowdRoom, peers []*database) {
	s.Title = fmt.Sprintf("An audience of %s, and the same questions to PostgreSQL, DuckDB and SQLite about %s", whole(float64(n.crowd.size)), r.peered())
	s.Command = "scripts/bench-audience"
	s.Text = []string{
		"Seeded people with 20 attributes on average (flags, small and large dictionaries of skewed shares, integers, floats, times, versions, URLs, places), five sets of tags and " + whole(float64(r.Deeds.Events)) + " events of three names in 30 days (few people do most; readings have a section, purchases an amount and a currency), 60 % on FCM and 40 % on APNs, come in over the import API, the client beside the node. The five clauses are a country AND active within 30 days AND one topic or another AND opted in; fifty targets have every operator. Constants are drawn anew for each question, nothing is kept of an answer, times are those of the whole request. So that loading them takes minutes, databases have " + r.peered() + " such people, in a project of their own of the same node, which is asked beside them, on a session of their own, with the same constants: each gives the same count, or the run fails. One that took more than a second is not asked the same kind again.",
		fmt.Sprintf("PostgreSQL has 4 GB of shared buffers, an index on each column and GIN on tags, VACUUM ANALYZE; events by (name, time, person), (name, section, time, person) and (name, currency, time); SQLite the same indexes and one on (tag, person); DuckDB its own. Loaded and indexed in %s.", loadTimes(peers)),
		fmt.Sprintf("Sends beside hostile targets go to %s as fast as they can, with %s callers who count all the time from %v before on, as often as they are not told to wait, in %d pairs with sends alone, whoever begins in turn. The node is then killed with SIGKILL right after it acknowledged a registration, and started again on its data.", whole(float64(r.Sent)), whole(hostileCounts), hostileAhead, len(r.Hostile.Pairs)),
		fmt.Sprintf("Memory is that of the node after %v of rest. Garbage was collected %d times; GOGC stood at %d %%, GOMEMLIMIT is %s.", idleTime, r.Stats.Collections, r.Stats.GCPercent, memoryLimit(r.Stats.MemoryLimit)),
	}
	s.Tables, s.Rounds = append(askedTable(r, n, peers), memoryTable(r, n), importTable(r), livingTable(r), hostileTable(r.Hostile, n), restartTable(r.Restart)), r
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
		atMost("p99 of a send's drift beside hostile targets, of that alone", "%", 125, 0, of(r.Hostile.Pairs, func(p *HostilePair) float64 { return 100 * p.Beside / p.Alone })),
		atMost("killed and started until ready to send", "s", 60, 15, one(r.Restart.Ready)),
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

// peered is how many people the databases were asked about.
func (r *Crowd) peered() string {
	if r.Peered == nil {
		return "none"
	}
	return whole(float64(r.Peered.People))
}

func restartTable(r *Restart) Table {
	t := Table{Head: []string{"killed and started again", "s"}}
	t.add("it listens", figure(r.Listening))
	t.add("ready to send", figure(r.Ready))
	t.add("a push was accepted to who registered right before the kill", figure(r.Sent))
	return t
}
