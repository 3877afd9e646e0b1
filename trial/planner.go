package trial

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/receipt"
)

// planner plays the shell of plan.
type planner struct {
	s       *seat
	plan    *plan.Machine
	planAt  uint64 // the Wake that counts
	tails   []*reader
	retired bool
}

func newPlanner(s *seat) *planner {
	config := plan.Default(s.p.w.options.Shards)
	config.Save = 700 * time.Millisecond
	return &planner{s: s, plan: plan.New(config, s.shard, s.p.w.newID())}
}

func (x *planner) begin() {
	s, w := x.s, x.s.p.w
	rows := w.scan(plan.Place(s.shard))
	if err := x.plan.Load(s.p.wall(), rows); err != nil {
		w.broken("plan", "%v", err)
		return
	}
	sends, ledger := x.plan.Cursors()
	x.tails = append(x.tails,
		s.p.follow(w.log(journal.Sends, s.shard), sends, func(r []journal.Entry, next uint64) {
			x.planStep(plan.SendsRead{Records: r, Next: next})
		}, s.impossible("sends")),
		s.p.follow(w.log(journal.Ledger, s.shard), ledger, func(r []journal.Entry, next uint64) {
			x.planStep(plan.LedgerRead{Records: r, Next: next})
		}, x.planTrimmed(ledger)).lazily())
	s.readers = append(s.readers, x.tails...)
	x.planStep(plan.Tick{})
}

// planTrimmed starts plan again from its rows: another process that believed
// it had the shard has saved and trimmed further.
func (x *planner) planTrimmed(was uint64) func() {
	return func() {
		s := x.s
		if s.revoked {
			return
		}
		fresh := newPlanner(s)
		if err := fresh.plan.Load(s.p.wall(), s.p.w.scan(plan.Place(s.shard))); err != nil {
			s.p.w.broken("plan", "%v", err)
			return
		}
		if _, now := fresh.plan.Cursors(); now <= was {
			s.p.w.broken("trim", "plan's ledger of shard %d was trimmed beyond its cursor %d", s.shard, was)
			return
		}
		for _, r := range x.tails {
			r.stopped = true
		}
		x.retired = true
		s.planner = newPlanner(s)
		s.planner.begin()
	}
}

func (x *planner) planStep(e plan.Event) {
	s, w := x.s, x.s.p.w
	if s.revoked || x.retired {
		return
	}
	for _, effect := range x.plan.Step(s.p.wall(), e) {
		switch e := effect.(type) {
		case plan.Ends:
			s.p.after(w.between(0, 4*time.Millisecond), "ends", func() { x.planStep(plan.Ended{Before: w.ends(), Ends: w.ends()}) })
		case plan.Append:
			s.p.append(w.log(journal.Slices, e.Shard), e.Slices, func(ok bool) {
				x.planStep(plan.Appended{Shard: e.Shard, Failed: !ok})
			})
		case plan.Recall:
			s.p.after(w.between(0, 4*time.Millisecond), "recalled", func() {
				failed := w.chance(20)
				x.planStep(plan.Recalled{Minute: e.Minute, Rows: w.scanRange(e.Place, e.From, e.To), Failed: failed})
			})
		case plan.Save:
			s.p.write(e.Batches, func(ok bool) { x.planStep(plan.Saved{Failed: !ok}) })
		case plan.Wake:
			x.planAt++
			at := x.planAt
			s.p.after(max(0, e.At.Sub(s.p.wall())), "plan tick", func() {
				if at == x.planAt {
					x.planStep(plan.Tick{})
				}
			})
		case plan.Durable:
			w.offer(s.shard, &w.offers[s.shard].plan, e.Ledger)
		}
	}
}

// ends asks for the end of changes of every shard.
func (w *World) ends() []uint64 {
	ends := make([]uint64, w.options.Shards)
	for i := range ends {
		ends[i] = w.endOf(w.log(journal.Changes, tocsin.Shard(i)))
	}
	return ends
}

// counter plays the shell of receipt.
type counter struct {
	s         *seat
	receipt   *receipt.Machine
	receiptAt uint64
	gaveUp    bool
}

func newCounter(s *seat) *counter {
	config := receipt.Default()
	config.Save = 700 * time.Millisecond
	return &counter{s: s, receipt: receipt.New(config, s.shard, s.p.w.newID())}
}

func (x *counter) begin() {
	s, w := x.s, x.s.p.w
	if err := x.receipt.Load(w.scan(receipt.Place(s.shard))); err != nil {
		w.broken("receipt", "%v", err)
		return
	}
	from := x.receipt.Cursor()
	s.readers = append(s.readers, s.p.follow(w.log(journal.Ledger, s.shard), from, func(r []journal.Entry, next uint64) {
		x.receiptStep(receipt.LedgerRead{Records: r, Next: next})
	}, func() {
		if s.revoked {
			return
		}
		// As with plan: another process has saved and trimmed further.
		x.gaveUp = true
		s.counter = newCounter(s)
		s.counter.begin()
		if s.counter.receipt.Cursor() <= from {
			w.broken("trim", "receipt's ledger of shard %d was trimmed beyond its cursor %d", s.shard, from)
		}
	}).lazily())
	x.receiptStep(receipt.Tick{})
}

func (x *counter) receiptStep(e receipt.Event) {
	s, w := x.s, x.s.p.w
	if s.revoked || x.gaveUp {
		return
	}
	for _, effect := range x.receipt.Step(s.p.wall(), e) {
		switch e := effect.(type) {
		case receipt.Append:
			s.p.append(w.log(journal.Changes, s.shard), e.Changes, func(ok bool) { x.receiptStep(receipt.Appended{Failed: !ok}) })
		case receipt.Save:
			s.p.write(e.Batches, func(ok bool) { x.receiptStep(receipt.Saved{Failed: !ok}) })
		case receipt.Wake:
			x.receiptAt++
			at := x.receiptAt
			s.p.after(max(0, e.At.Sub(s.p.wall())), "receipt tick", func() {
				if at == x.receiptAt {
					x.receiptStep(receipt.Tick{})
				}
			})
		case receipt.Durable:
			w.offer(s.shard, &w.offers[s.shard].receipt, e.Ledger)
		}
	}
}
