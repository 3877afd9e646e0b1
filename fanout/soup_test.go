package fanout

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// Owners crash, pause, wake up, lose appends and answers, and take over from
// each other while sends come and are cancelled; then the faults stop. Every
// push ends, and what the provider accepted agrees with it (laws L1 and L3).
func TestSoup(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) { soup(t, reached) })
	for _, want := range []string{"crash", "lost append", "late append", "second owner", "leave", "cancel", "trimmed", "marked", "steer"} {
		if reached[want] == 0 {
			t.Errorf("never reached: %s", want)
		}
	}
}

func soup(t *rapid.T, reached map[string]int) {
	w := newWorld(&failer{T: new(testing.T), rapid: t})
	w.config.Chunk = 64
	dice := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "dice") }
	seed := uint64(dice(1 << 20))
	w.answer = func(d Deliver, i int) provider.Result {
		h := (seed + uint64(d.Send.ID[15])*31 + uint64(d.Page*1024+d.Span.From+i)*7 + uint64(d.Attempt)*13) * 0x9e3779b97f4a7c15 >> 58
		return []provider.Result{provider.Later, provider.Lost, provider.Gone, provider.Fault, provider.Unprocessed, provider.Refused}[min(h, 5)%6]
	}
	usual := w.answer
	w.answer = func(d Deliver, i int) provider.Result {
		if h := (seed ^ uint64(d.Attempt*131+i*17)) % 8; h > 2 {
			return provider.Accepted
		}
		return usual(d, i)
	}
	var ids []tocsin.SendID
	var late []*record.Envelope
	version := 0
	w.owner()
	for range 40 + dice(200) {
		w.now = w.now.Add(time.Duration(dice(40)) * time.Millisecond)
		a := w.owners[dice(len(w.owners))]
		switch dice(30) {
		case 0:
			if len(ids) < 4 {
				s := &record.Slice{Options: &record.Options{OnDoubt: uint32(1 + dice(2)), Attempts: uint32(1 + dice(4))}}
				if dice(2) == 0 {
					s.Recipients = []*record.Recipient{{}}
				}
				if dice(4) == 0 {
					s.Options.Ttl = int64(time.Duration(1+dice(3)) * time.Second)
				}
				ids = append(ids, w.send(byte(len(ids)+1), s, 1+dice(40), 1+dice(30)))
			}
		case 1:
			if len(ids) > 0 && dice(3) == 0 {
				reached["cancel"]++
				w.cancel(ids[dice(len(ids))])
			}
			if len(ids) > 0 && dice(2) == 0 {
				reached["steer"]++
				version++
				w.steer(ids[dice(len(ids))], uint64(1+dice(version)), uint32(dice(2)), dice(3) > 0)
			}
		case 2:
			if a.m != nil && dice(4) == 0 { // killed; what is on its way may still be written
				reached["crash"]++
				a.m = nil
				w.owner()
			}
		case 3:
			if dice(4) == 0 && len(w.owners) < 6 {
				reached["second owner"]++
				w.owner()
			}
		case 4:
			if a.m != nil && a.appending != nil && dice(3) == 0 {
				reached["lost append"]++
				n := dice(len(a.appending) + 1)
				late = append(late, a.appending[n:]...)
				a.append(n, true)
			}
		case 5:
			if len(late) > 0 {
				reached["late append"]++
				w.ledger.append(late[0])
				late = late[1:]
			}
		case 6:
			if dice(6) == 0 && a.m != nil {
				reached["leave"]++
				a.step(Leave{})
				w.owner()
			}
		case 7:
			a.step(Tick{})
			if dice(8) == 0 && a.m != nil && a.stopped == nil {
				reached["trimmed"]++
				a.trimmed()
			}
		case 8, 9:
			w.permit(dice(3) == 0)
		case 10, 11, 12:
			a.grant(1 + dice(20))
		case 13, 14, 15, 16:
			if a.m != nil {
				a.append(1<<20, false)
			}
		case 17, 18, 19:
			a.readSlices()
			a.lookUp()
		case 20, 21, 22:
			a.deliver(1 + dice(20))
		default:
			a.read(1 + dice(6))
		}
	}
	// The faults stop: one owner is left, nothing else is late or paused.
	for _, id := range ids {
		w.steer(id, 1_000_000, 0, false)
	}
	last := w.owner()
	for _, a := range w.owners[:len(w.owners)-1] {
		for _, d := range a.delivers {
			w.write(d, dice(20))
		}
		a.step(Revoked{})
		a.m = nil
		a.delivers, a.appending, a.asks, a.catching, a.slices, a.evaluate, a.fetch = nil, nil, nil, -1, -1, nil, nil
	}
	for range 4 {
		w.now = w.now.Add(5 * time.Second)
		last.step(Tick{})
		w.settle()
	}
	for _, id := range ids {
		if f := w.fold(); f.Cancelled(id) && f.Send(id) == nil && !f.Finished(id, nil) {
			continue // cancelled and never opened
		}
		for name, n := range w.closed(id) {
			if name[len(name)-1] == '?' {
				reached["marked"] += n
			}
		}
	}
}

// failer hands a world's failures to rapid.
type failer struct {
	*testing.T
	rapid *rapid.T
}

func (f *failer) Helper()                           {}
func (f *failer) Fatal(args ...any)                 { f.rapid.Fatal(args...) }
func (f *failer) Fatalf(format string, args ...any) { f.rapid.Fatalf(format, args...) }
