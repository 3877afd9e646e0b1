package trial

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

const journalChanges = journal.Changes

var background = context.Background()

func journalPosition(p uint64) journal.Position { return journal.Position(p) }

// truth is what the oracle has seen from outside.
type truth struct {
	pushes  [][]pushTruth // by send, by person and shard
	shards  int
	cancels []map[tocsin.SendID]uint64 // by shard: where the first cancel stands in the ledger
	slices  []map[tocsin.SendID]bool   // by shard: sends that were cut for it
	sends   map[tocsin.SendID]int      // number of the request, from 1
	ids     map[string]tocsin.SendID   // by key
	closed  map[closedKey]bool
	lost    []int // by shard: answers that were lost after the provider accepted
	twice   []int // by shard: pushes that the provider accepted more than once
	looked  time.Time
	quiet   time.Time
}

type closedKey struct {
	send  int
	shard int
}

// pushTruth is what the provider knows of a push.
type pushTruth struct {
	accepted  int
	writes    int
	saidGone  bool
	endedGone bool
	listed    bool // in the stored audience
	saidMoved bool // as such, or it did not reach anybody
	told      []told
}

func newTruth(shards int) truth {
	t := truth{shards: shards, sends: map[tocsin.SendID]int{}, ids: map[string]tocsin.SendID{}, closed: map[closedKey]bool{}, lost: make([]int, shards), twice: make([]int, shards),
		cancels: make([]map[tocsin.SendID]uint64, shards), slices: make([]map[tocsin.SendID]bool, shards)}
	for i := range shards {
		t.cancels[i], t.slices[i] = map[tocsin.SendID]uint64{}, map[tocsin.SendID]bool{}
	}
	return t
}

func (t *truth) push(send, person int, shard tocsin.Shard) *pushTruth {
	person = person*t.shards + int(shard)
	for len(t.pushes) <= send {
		t.pushes = append(t.pushes, make([]pushTruth, 0, 256))
	}
	for len(t.pushes[send]) <= person {
		t.pushes[send] = append(t.pushes[send], pushTruth{})
	}
	return &t.pushes[send][person]
}

// truthOf is what the provider knows of a push that is on its way.
func truthOf(d *delivery, p *pushed) *pushTruth {
	return d.x.s.p.w.truth.push(d.send, p.person, d.x.s.shard)
}

// durable looks at each record as it becomes durable.
func (w *World) durable(l *log, position uint64, e *record.Envelope) {
	shard := l.key.Shard
	switch l.key.Topic {
	case journal.Sends:
		s := e.GetSend()
		if s == nil {
			return
		}
		id := tocsin.SendID(s.Send)
		if was, ok := w.truth.ids[s.Name]; ok && was != id {
			w.broken("L5", "%s stands for two sends in the log", s.Name)
		}
		w.truth.ids[s.Name] = id
		for _, r := range w.sends {
			if r.key == s.Name {
				w.truth.sends[id] = r.number + 1
				r.due = time.Unix(0, s.Due)
			}
		}
	case journal.Slices:
		if s := e.GetSlice(); s.Retry == nil {
			w.truth.slices[shard][tocsin.SendID(s.Send)] = true
		}
	case journal.Ledger:
		c := e.GetCancel()
		if c == nil {
			return
		}
		id := tocsin.SendID(c.Send)
		if w.truth.cancels[shard][id] != 0 {
			return
		}
		w.truth.cancels[shard][id] = position
		if p := w.seats[shard]; p.incarnation != 0 && p.seats[shard] != nil {
			if _, retries := p.seats[shard].plan.Waiting(); retries > 0 {
				w.reach(retryCancelled)
			}
		}
	}
}

// settled reports whether everything that was acknowledged is done.
func (w *World) settled() bool {
	if w.now.Sub(w.truth.looked) < 100*time.Millisecond {
		return false
	}
	w.truth.looked = w.now
	if w.open() != "" {
		w.truth.quiet = time.Time{}
		return false
	}
	if w.truth.quiet.IsZero() {
		w.truth.quiet = w.now
	}
	return w.now.Sub(w.truth.quiet) > 1500*time.Millisecond
}

// open names a send that is not done.
func (w *World) open() string {
	if who := w.unsettled(); who != "" {
		return who
	}
	for _, r := range w.sends {
		if !r.answered {
			return r.key + " has no answer"
		}
		if r.cancel && r.cancelled.IsZero() {
			return r.key + " has no answer to its cancel"
		}
		for _, shard := range r.shards {
			if w.truth.closed[closedKey{r.number, int(shard)}] {
				continue
			}
			if !w.truth.slices[shard][r.id] {
				if !r.cancel {
					return fmt.Sprintf("%s was not cut for shard %d", r.key, shard)
				}
				continue
			}
			c, err := receipt.ReadCounters(w.rowsOf(shard, r.id, "counters", "counters~"))
			if err != nil {
				return err.Error()
			}
			if c == nil && r.cancel && w.cutAgo(shard) > 3*time.Second {
				continue // cancelled before it was opened
			}
			if c == nil || !c.Closed {
				return fmt.Sprintf("%s is not closed on shard %d: %d unclaimed, %d claimed, %d later", r.key, shard, c.GetUnclaimed(), c.GetClaimed(), c.GetLater())
			}
			w.truth.closed[closedKey{r.number, int(shard)}] = true
		}
	}
	return ""
}

// cutAgo is how long ago the newest record of the shard's slices was appended.
func (w *World) cutAgo(shard tocsin.Shard) time.Duration {
	return w.now.Sub(later(w.log(journal.Slices, shard).grew, dawn.Add(healed)))
}

func (w *World) stuck() string { return "it does not drain: " + w.open() }

// judge compares the final state with what the providers took.
func (w *World) judge() {
	w.provider.judgeQuotas()
	w.judgeSteering()
	for _, r := range w.sends {
		for _, shard := range r.shards {
			w.judgeShard(r, shard)
		}
		w.judgePeople(r)
	}
	w.judgeMoves()
	for shard := range w.options.Shards {
		w.judgeLedger(tocsin.Shard(shard))
		w.judgeAudience(tocsin.Shard(shard))
	}
}

// rowsOf are the rows that receipt keeps of a send, those of a small one out of
// the block that it was packed into.
func (w *World) rowsOf(shard tocsin.Shard, id tocsin.SendID, from, to string) []store.Row {
	blocks := w.scanRange(receipt.BriefRange(shard, id))
	rows, err := receipt.FindBrief(blocks, id)
	if err != nil {
		w.broken("receipt", "%v", err)
	}
	if rows != nil {
		w.reach(packed)
		return rows
	}
	return w.scanRange(receipt.SendPlace(shard, id), from, to)
}

func (w *World) judgeShard(r *request, shard tocsin.Shard) {
	rows := w.rowsOf(shard, r.id, "", "~")
	c, err := receipt.ReadCounters(rows)
	if err != nil || c == nil {
		if r.cancel && err == nil {
			w.reach(cancelledUnopened)
		} else {
			w.broken("L2", "%s has no counters on shard %d: %v", r.key, shard, err)
		}
		return
	}
	var said, saidDoubtful, counted, doubtful [tocsin.InDoubt + 1]uint64
	var load audience.Recipients
	people := w.seats[shard].seats[shard].audience
	total := uint64(0)
	err = receipt.ReadOutcomes(rows, func(o receipt.Outcome) bool {
		total++
		counted[o.Outcome]++
		if o.Doubt {
			doubtful[o.Outcome]++
		}
		people.Load(r.project.id, audience.Route{Provider: tocsin.Provider(o.Route.Provider), Host: o.Route.Host, Topic: o.Route.Topic},
			[]uint32{o.Ordinal}, nil, &load)
		w.judgePush(r, shard, o, personOf(load.IDs[0]))
		return len(w.result.Broken) < 5
	})
	if len(w.result.Broken) > 0 {
		return
	}
	for _, t := range c.Tallies {
		said[t.Outcome] += t.Count
		saidDoubtful[t.Outcome] += t.Doubtful
	}
	if err != nil || total != c.Audience || counted != said || doubtful != saidDoubtful || c.Unclaimed+c.Claimed+c.Later != 0 {
		w.broken("L1", "%s on shard %d: counters %v say %v of %d, its pushes say %v of %d", r.key, shard, err, said, c.Audience, counted, total)
	}
}

// judgePush compares one outcome with what the provider took.
func (w *World) judgePush(r *request, shard tocsin.Shard, o receipt.Outcome, number int) {
	t, x := w.truth.push(r.number, number, shard), r.project.people[number]
	who := func() string {
		return fmt.Sprintf("%s to person %d, %v (%v, doubt %t, attempt %d), accepted %d times in %d writes",
			r.key, number, o.Outcome, o.Reason, o.Doubt, o.Attempt, t.accepted, t.writes)
	}
	if t.listed {
		w.broken("L1", "%s: in the audience twice", who())
	}
	t.listed, t.endedGone = true, o.Outcome == tocsin.Gone
	t.saidMoved = o.Reason == tocsin.ReasonMoved || o.Outcome != tocsin.Accepted
	if t.accepted > 1 {
		w.truth.twice[shard]++
	}
	expected := 0
	if o.Outcome == tocsin.Accepted {
		expected = 1
	}
	switch {
	case !o.Doubt && t.accepted != expected, o.Doubt && t.accepted < expected:
		w.broken("L3", "%s", who())
	case r.skip && t.accepted > 1:
		w.broken("L3", "%s, though it must never be sent twice", who())
	case o.Doubt && (o.Outcome == tocsin.Cancelled || o.Outcome == tocsin.Expired || o.Outcome == tocsin.Suppressed):
		w.broken("L3", "%s: a marked push", who())
	case o.Outcome == tocsin.InDoubt && !o.Doubt:
		w.broken("L3", "%s: without the mark", who())
	case o.Outcome == tocsin.Gone && !t.saidGone:
		w.broken("L1", "%s: the provider never said so", who())
	case o.Outcome == tocsin.Refused:
		w.broken("L1", "%s: nobody refused it", who())
	case o.Outcome == tocsin.Suppressed && !x.blocking && !x.dead && x.movedFrom.IsZero():
		w.broken("L1", "%s: nobody opted out", who())
	case o.Outcome == tocsin.Cancelled && !r.cancel:
		w.broken("L1", "%s: nobody cancelled it", who())
	case o.Outcome == tocsin.Expired && r.ttl == time.Hour:
		w.broken("L1", "%s: its time is not over", who())
	}
	if o.Outcome == tocsin.Expired && o.Attempt > 1 {
		w.reach(retryExpired)
	}
	if o.Outcome == tocsin.InDoubt && r.skip {
		w.reach(skippedDoubt)
	}
}

// judgePeople looks for who was missed, and who should not have got it.
func (w *World) judgePeople(r *request) {
	named := make([]bool, len(r.project.people))
	for _, x := range r.explicit {
		named[x.number] = true
	}
	for _, x := range r.project.people {
		var t pushTruth
		var entries []counted
		for shard := range tocsin.Shard(w.options.Shards) {
			one := w.truth.push(r.number, x.number, shard)
			if one.listed {
				entries = append(entries, counted{shard: shard, moved: one.saidMoved})
			}
			if one.accepted > 0 && !one.listed {
				w.broken("L1", "%s reached person %d from shard %d, and he is not in its audience", r.key, x.number, shard)
			}
			t.accepted, t.listed = t.accepted+one.accepted, t.listed || one.listed
		}
		w.judgeTwice(r, x, entries)
		wanted := r.explicit == nil || named[x.number]
		switch {
		case t.accepted > 0 && !t.listed:
			w.broken("L1", "%s reached person %d, who is not in its audience", r.key, x.number)
		case t.accepted > 0 && !x.blocked.IsZero() && x.blocked.Before(r.asked):
			w.broken("L4", "%s reached person %d, who had opted out before", r.key, x.number)
		case wanted && !t.listed && !x.registered.IsZero() && !x.registered.After(r.asked) && !x.blocking && !x.dead && !r.cancel:
			w.broken("L1", "%s missed person %d, who had registered before", r.key, x.number)
		}
	}
}

// judgeAudience holds that dead addresses went, and no other.
func (w *World) judgeAudience(shard tocsin.Shard) {
	versions := map[tocsin.SubscriptionID]uint64{}
	for i, r := range w.log(journal.Changes, shard).kept {
		for _, c := range r.Envelope.GetChanges().GetChanges() {
			if u := c.GetUpsert(); u != nil && i >= len(w.projects) { // not one of those who were there from the beginning
				versions[tocsin.SubscriptionID(u.Subscription)] = r.Position
			}
			if g := c.GetGone(); g != nil && g.Version < versions[tocsin.SubscriptionID(g.Subscription)] {
				w.reach(goneAfterAgain)
			}
		}
	}
	for _, p := range w.projects {
		live := w.reachable(shard, p)
		for _, x := range p.people {
			if x.shard != shard || x.blocking || x.unsure {
				continue
			}
			_, dead := w.provider.gone[string(x.address())]
			said, ended := false, false
			for send := range w.truth.pushes {
				if w.sends[send].project == p {
					for on := range tocsin.Shard(w.options.Shards) {
						t := w.truth.push(send, x.number, on)
						said, ended = said || t.saidGone, ended || t.endedGone
					}
				}
			}
			switch {
			case !x.registered.IsZero() && !live[x.number] && !said:
				w.broken("gone", "person %d of project %d is not there any more", x.number, p.number)
			case x.again && x.addresses > 0 && !dead && !live[x.number]:
				w.broken("gone", "person %d of project %d registered again and was dropped", x.number, p.number)
			case ended && dead && !x.moved && live[x.number]:
				w.broken("gone", "person %d of project %d is still there with a dead address", x.number, p.number)
			}
		}
	}
}

// reachable are the people of a project whom a send to all would find on a
// shard now, by number.
func (w *World) reachable(shard tocsin.Shard, p *project) []bool {
	live := make([]bool, len(p.people))
	people := w.seats[shard].seats[shard].audience
	var load audience.Recipients
	for _, lot := range everybody(people, p.id, w.now, audience.Cut{}).Lots {
		people.Load(p.id, lot.Route, lot.Ordinals.ToArray(), nil, &load)
		for _, id := range load.IDs {
			live[personOf(id)] = true
		}
	}
	return live
}
