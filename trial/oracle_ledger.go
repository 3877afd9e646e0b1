package trial

import (
	"bytes"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
)

// judgeLedger looks through the whole log for the window, for what the saved
// snapshots say and for rare states. What is claimed and not settled, and what
// a take leaves in doubt, is what a reader of the whole log says.
func (w *World) judgeLedger(shard tocsin.Shard) {
	saved := w.snapshots(shard)
	fold := ledger.New()
	var chunk *record.Open
	most := w.truth.lost[shard] // pushes that may have been accepted twice
	for _, r := range w.log(journal.Ledger, shard).kept {
		for len(saved) > 0 && r.Position >= saved[0].fold.Next() {
			w.judgeSnapshot(shard, saved[0], fold)
			saved = saved[1:]
		}
		term, seq := fold.Term(), fold.Seq()
		v := fold.Apply(r.Position, r.Envelope)
		if !v.InForce {
			w.judgeVoid(shard, r, v, fold, fold.Term() == term && fold.Seq() == seq+1)
			continue
		}
		if take := r.Envelope.GetTake(); take != nil {
			doubtful := 0
			for _, c := range v.Marked {
				doubtful += c.To - c.From
			}
			most += doubtful
			switch {
			case take.Supersedes != term:
				w.broken("L3", "the take at %d names term %d and ends term %d", r.Position, take.Supersedes, term)
			case doubtful > window:
				w.broken("L3", "the take at %d leaves %d pushes of shard %d in doubt, W is %d", r.Position, doubtful, shard, window)
			case chunk != nil && chunk.Chunk+1 < chunk.Chunks:
				w.reach(tornOpen)
			}
		}
		if chunk = r.Envelope.GetOpen(); chunk.GetClaim() != nil {
			w.reach(openWithClaim)
		}
		if fold.Held() > window {
			w.broken("L3", "%d pushes of shard %d claimed and not settled, W is %d", fold.Held(), shard, window)
		}
	}
	for _, s := range saved {
		w.judgeSnapshot(shard, s, fold)
	}
	if twice := w.truth.twice[shard]; twice > most {
		w.broken("L3", "%d pushes of shard %d were accepted twice, takes and lost answers allow %d", twice, shard, most)
	}
}

// judgeVoid holds that an owner claims only what may be claimed: a claim void by
// its content, of a send that goes on, holds pushes that are asked for twice, or
// that nobody asks for again.
func (w *World) judgeVoid(shard tocsin.Shard, r journal.Entry, v ledger.Verdict, fold *ledger.Fold, inTurn bool) {
	claim := r.Envelope.GetClaim()
	if claim == nil || !inTurn {
		return
	}
	if s := fold.Send(tocsin.SendID(claim.Send)); s != nil && !s.Cancelled {
		w.broken("L8", "the claim at %d of shard %d, page %d from %d to %d at attempt %d, is void: %s",
			r.Position, shard, claim.Page, claim.From, claim.To, claim.Attempt, v.Why)
	}
}

// snapshot is a fold that a process would start from.
type snapshot struct {
	of   string
	fold *ledger.Fold
}

// snapshots are those saved last, the lower one first.
func (w *World) snapshots(shard tocsin.Shard) []snapshot {
	planned, err := plan.Snapshot(w.scan(plan.Place(shard)))
	if err != nil {
		w.broken("snapshot", "plan: %v", err)
	}
	counted, err := receipt.Snapshot(w.scan(receipt.Place(shard)))
	if err != nil {
		w.broken("snapshot", "receipt: %v", err)
	}
	all := []snapshot{{"plan", planned}, {"receipt", counted}}
	if len(w.result.Broken) > 0 {
		return nil
	}
	if counted.Next() < planned.Next() {
		slices.Reverse(all)
	}
	return all
}

// judgeSnapshot holds that a reader that started from snapshots again and again
// has come to what a reader of the whole log knows.
func (w *World) judgeSnapshot(shard tocsin.Shard, saved snapshot, whole *ledger.Fold) {
	s := saved.fold
	whole.Advance(s.Next())
	if !bytes.Equal(s.Marshal(), whole.Marshal()) {
		w.broken("snapshot", "%s of shard %d at %d is of term %d, number %d; the whole log of term %d, number %d", saved.of, shard, s.Next(),
			s.Term(), s.Seq(), whole.Term(), whole.Seq())
	}
}
