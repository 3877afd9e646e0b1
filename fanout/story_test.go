package fanout

import (
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

func TestASendLeaves(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	one, two, none := w.send(1, &record.Slice{}, 1500, 40, 3), w.send(2, &record.Slice{}, 100), w.send(3, &record.Slice{})
	for len(a.delivers) < 4 { // four ranges of 16 fill the window
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	for a.grant(99) || a.append(99, false) || a.read(5) {
	}
	if len(a.delivers) != 4 {
		t.Errorf("%d ranges on their way, want what the window holds", len(a.delivers))
	}
	w.settle()
	w.want(one, "accepted:1543")
	w.want(two, "accepted:100")
	w.want(none, "")
}

// A range is asked for when those before it were granted: what the quota made
// them wait is part of its own wait.
func TestTheWaitForAQuotaIsCountedFromTheFirstAsk(t *testing.T) {
	w := newWorld(t)
	w.quota = 10 * time.Millisecond
	w.owner()
	id := w.send(1, &record.Slice{}, 16*6)
	w.settle()
	w.want(id, "accepted:96")
	var waited []time.Duration
	for _, r := range w.ledger.from(t, 0, 999) {
		if s := r.Envelope.GetSettle(); s != nil {
			waited = append(waited, time.Duration(s.QuotaWait))
		}
	}
	slices.Sort(waited)
	for i, d := range waited {
		if want := time.Duration(i+1) * w.quota; d != want {
			t.Errorf("range %d of %d waited %v for its quota, want %v", i, len(waited), d, want)
		}
	}
	if len(waited) != 6 {
		t.Errorf("%d settles of 6 ranges", len(waited))
	}
}

func TestASliceWaitsForItsMarkAndForThoseBefore(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	one, two := w.send(1, &record.Slice{Mark: 50}, 10), w.send(2, &record.Slice{}, 10)
	w.settle()
	if f := w.fold(); f.Send(one) != nil || f.Send(two) != nil {
		t.Fatal("opened before its mark, or before its turn")
	}
	a.step(Applied{Changes: 49})
	w.settle()
	if w.fold().Slice() != 0 {
		t.Fatal("opened before its mark")
	}
	a.step(Applied{Changes: 50})
	w.settle()
	w.want(one, "accepted:10")
	w.want(two, "accepted:10")
}

func TestNothingLeavesBeforeItsClaimIsReadBack(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	w.send(1, &record.Slice{}, 10)
	for a.m.Held() == 0 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	a.append(99, false)
	if len(a.delivers) > 0 {
		t.Fatal("delivered before it was read back")
	}
	a.read(99)
	if len(a.delivers) != 1 {
		t.Fatalf("%d delivered", len(a.delivers))
	}
}

func TestAFewRecipientsOpenAndAreClaimedInOneRecord(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	w.settle()
	before := len(w.ledger.data)
	id := w.send(1, &record.Slice{Recipients: []*record.Recipient{{Profile: "u:1"}}}, 5)
	w.settle()
	w.want(id, "accepted:5")
	if have := len(w.ledger.data) - before; have != 3 {
		t.Errorf("%d records, want open with claim, settle and close", have)
	}
	// A grant that does not come does not hold up the open.
	id = w.send(2, &record.Slice{Recipients: []*record.Recipient{{Profile: "u:1"}}}, 5)
	for len(a.asks) == 0 {
		_ = a.read(5) || a.readSlices() || a.lookUp()
	}
	w.now = w.now.Add(w.config.OpenWait)
	a.step(Tick{})
	if len(a.asks) != 0 || len(a.appending) != 1 || a.appending[0].GetOpen().Claim != nil {
		t.Fatal("its open still waits")
	}
	w.settle()
	w.want(id, "accepted:5")
}

func TestAProbeIsOnePushAndTheRestFollow(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 30)
	for !a.grant(1) {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false)
	}
	w.settle()
	w.want(id, "accepted:30")
	if c := w.ledger.from(t, 0, 9)[2].Envelope.GetClaim(); c.GetFrom() != 0 || c.GetTo() != 1 {
		t.Errorf("the first claim is %v", c)
	}
}

// The second owner finds claimed pushes: they are marked, and sent again or, with skip, never.
func TestTakeOver(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	resend := w.send(1, &record.Slice{}, 40)
	skip := w.send(2, &record.Slice{Options: &record.Options{OnDoubt: uint32(tocsin.Skip)}}, 40)
	for len(a.delivers) < 4 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	w.write(a.delivers[0], 10)
	a.m = nil // killed; what it wrote was written
	w.owner()
	w.settle()
	if have := w.closed(resend); have["accepted"]+have["accepted?"] != 40 || have["accepted?"] == 0 {
		t.Errorf("resend ended %v", have)
	}
	if have := w.closed(skip); have["accepted"]+have["in_doubt?"] != 40 || have["in_doubt?"] == 0 {
		t.Errorf("skip ended %v", have)
	}
}

func TestAWokenOldOwnerStops(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 200)
	for len(a.delivers) == 0 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	b := w.owner()
	for !b.m.Owning() {
		_ = b.read(99) || b.append(99, false)
	}
	a.read(99)
	if a.m.Owning() || a.halts == 0 {
		t.Fatal("the old owner goes on")
	}
	a.step(Revoked{})
	w.settle()
	w.closed(id)
}

func TestAFailedAppendTakesAgain(t *testing.T) {
	for _, keep := range []int{0, 1, 99} {
		w := newWorld(t)
		a := w.owner()
		id := w.send(1, &record.Slice{}, 100)
		for len(a.delivers) == 0 || a.appending == nil {
			_ = a.read(5) || a.readSlices() || a.lookUp() || a.grant(99) || len(a.delivers) == 0 && a.append(99, false)
		}
		a.append(keep, true)
		if a.m.Owning() || a.halts == 0 {
			t.Fatal("goes on after a failed append")
		}
		w.now = w.now.Add(w.config.Retake)
		a.step(Tick{})
		w.settle()
		if have := w.closed(id); have["accepted?"] == 0 {
			t.Errorf("ended %v without a mark", have)
		}
	}
}

func TestAGapTakesAgain(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 100)
	for len(a.appending) < 2 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.grant(99) || len(a.appending) == 1 && a.append(99, false)
	}
	a.appending = a.appending[1:] // said to be durable, and is not
	a.append(99, false)
	a.read(99)
	if a.m.Owning() {
		t.Fatal("goes on after a gap")
	}
	w.now = w.now.Add(w.config.Retake)
	a.step(Tick{})
	w.settle()
	w.closed(id)
}

func TestLeavingMarksNothing(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 200)
	for len(a.delivers) < 3 {
		_ = a.read(1) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	w.write(a.delivers[0], 7)
	a.step(Leave{})
	w.settle()
	if a.stopped == nil || !a.stopped.Clean || w.fold().Held() != 0 {
		t.Fatal("did not leave cleanly")
	}
	if len(a.asks) > 0 {
		t.Error("still asks")
	}
	w.owner()
	w.settle()
	w.want(id, "accepted:200")
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 200)
	for len(a.delivers) < 3 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	w.write(a.delivers[0], 7)
	w.cancel(id)
	w.settle()
	w.want(id, "accepted:7 cancelled:193")
	early := w.send(2, &record.Slice{Recipients: []*record.Recipient{{}}}, 20)
	w.cancel(early)
	w.settle()
	w.want(early, "cancelled:20")
}

func TestRetries(t *testing.T) {
	w := newWorld(t)
	w.owner()
	w.answer = func(d Deliver, i int) provider.Result {
		switch (d.Span.From + i) % 5 {
		case 0:
			if d.Attempt < 8 { // costs none of the three
				return provider.Later
			}
		case 1:
			if d.Attempt == 1 {
				return provider.Lost
			}
		case 2:
			if d.Attempt < 3 {
				return provider.Unprocessed
			}
		case 3:
			return provider.Gone
		}
		return provider.Accepted
	}
	id := w.send(1, &record.Slice{Options: &record.Options{Attempts: 3}}, 100)
	w.settle()
	w.want(id, "accepted:60 accepted?:20 gone:20")
	skip := w.send(2, &record.Slice{Options: &record.Options{Attempts: 3, OnDoubt: uint32(tocsin.Skip)}}, 100)
	w.settle()
	w.want(skip, "accepted:60 gone:20 in_doubt?:20")
}

func TestARefusedCredentialCostsNoAttempt(t *testing.T) {
	w := newWorld(t)
	w.owner()
	w.answer = func(d Deliver, i int) provider.Result {
		if d.Attempt < 20 {
			return provider.Fault
		}
		return provider.Accepted
	}
	id := w.send(1, &record.Slice{Options: &record.Options{Attempts: 2}}, 3)
	w.settle()
	w.want(id, "accepted:3")
}

func TestPastItsTimeToLiveNothingLeaves(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	w.answer = func(d Deliver, i int) provider.Result { return provider.Later }
	id := w.send(1, &record.Slice{Options: &record.Options{Ttl: int64(time.Minute), Attempts: 99}}, 300)
	for len(a.delivers) < 2 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	a.deliver(99) // these go later
	w.now = w.now.Add(time.Minute)
	a.step(Tick{})
	w.settle()
	w.want(id, "expired:300")
	if len(w.written) != 16 {
		t.Errorf("%d written, want the one range before the end", len(w.written))
	}
}

func TestASliceCutTwiceIsSentOnce(t *testing.T) {
	w := newWorld(t)
	w.owner()
	id := w.send(1, &record.Slice{}, 20)
	w.send(1, &record.Slice{}, 20)
	w.settle()
	w.send(1, &record.Slice{}, 20)
	w.settle()
	w.want(id, "accepted:20")
}

func TestAnOpenInChunks(t *testing.T) {
	w := newWorld(t)
	w.config.Chunk = 64
	a := w.owner()
	id := w.send(1, &record.Slice{}, 20, 20, 20)
	for len(a.appending) < 3 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || len(a.appending) == 1 && a.append(99, false)
	}
	a.append(2, true) // torn
	w.now = w.now.Add(w.config.Retake)
	a.step(Tick{})
	w.settle()
	w.want(id, "accepted:60")
}

// Plan may have read a settle before its owner has: the permission waits.
func TestAPermissionThatComesEarlyIsKept(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	w.answer = func(d Deliver, i int) provider.Result {
		if d.Attempt == 1 {
			return provider.Later
		}
		return provider.Accepted
	}
	id := w.send(1, &record.Slice{}, 10)
	for len(a.delivers) == 0 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	a.deliver(99)
	a.append(99, false)
	for w.permit(true) {
	}
	a.readSlices()
	w.settle()
	w.want(id, "accepted:10")
	if w.written[w.key(id, 3)] != 2 {
		t.Errorf("written %d times, want twice", w.written[w.key(id, 3)])
	}
}

// The ordinals of an open may be of people whom a new owner has not applied yet.
func TestANewOwnerWaitsForThePeopleOfAnOpen(t *testing.T) {
	w := newWorld(t)
	w.changes = 70
	a := w.owner()
	id := w.send(1, &record.Slice{}, 40)
	for len(a.delivers) == 0 {
		a.step(Applied{Changes: 70})
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	a.m = nil
	a.delivers = nil
	b := w.owner()
	b.step(Applied{Changes: 69})
	w.settle()
	if len(b.asks)+len(w.written) > 0 {
		t.Fatal("sent to people it does not know")
	}
	b.step(Applied{Changes: 70})
	w.settle()
	w.closed(id)
}

func TestSlowDownHoldsBackWhatIsOnItsWay(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 60)
	for len(a.delivers) < 3 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	d := a.delivers[0]
	a.delivers = a.delivers[1:]
	a.step(Answered{Claim: d.Claim, Answers: []Answer{{Count: 16, Result: provider.Later, Scope: provider.WholeQuota, RetryAfter: time.Second}}})
	if a.halts != 2 || !a.delivers[0].halted || !a.delivers[1].halted {
		t.Fatalf("%d of 2 halted", a.halts)
	}
	w.settle()
	w.want(id, "accepted:60")
}

func TestATrimmedReaderTakesAgainFromASnapshot(t *testing.T) {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 60)
	for len(a.delivers) < 2 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	for w.permit(false) {
	}
	a.trimmed()
	if a.halts < 2 || a.m.Owning() {
		t.Fatal("goes on after a gap that it cannot read")
	}
	w.now = w.now.Add(w.config.Retake)
	a.step(Tick{})
	w.settle()
	if have := w.closed(id); have["accepted?"] == 0 {
		t.Errorf("ended %v without a mark", have)
	}
}
