package api

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
)

// acceptWorld is one idempotency key's row and the log, with faults.
type acceptWorld struct {
	row  []byte
	log  []tocsin.SendID
	late []tocsin.SendID // appends that failed and may still appear
	now  time.Time
}

// attempt is one request at the machine, an effect under way.
type attempt struct {
	machine *Accept
	body    byte
	effect  AcceptEffect
	reply   *Reply
}

func (w *acceptWorld) arrive(n int, body byte) *attempt {
	id := tocsin.MakeID[tocsin.SendID](w.now, [10]byte{byte(n), byte(n >> 8), 1})
	a := &attempt{machine: NewAccept(true, [32]byte{body}, id), body: body}
	a.take(a.machine.Step(w.now, Arrived{}))
	return a
}

func (a *attempt) take(e AcceptEffect) {
	if r, ok := e.(Reply); ok {
		a.reply = &r
		e = nil
	}
	a.effect = e
}

// step runs the effect of one request; fault chooses how it goes.
func (w *acceptWorld) step(a *attempt, fault int) {
	var event AcceptEvent
	switch e := a.effect.(type) {
	case PutRow:
		fits := string(w.row) == string(e.Old) && (w.row == nil) == (e.Old == nil)
		switch {
		case fault == 1: // lost before it took effect
			event = PutDone{Ambiguous: true}
		case fault == 2: // took effect, answer lost
			if fits {
				w.row = e.Value
			}
			event = PutDone{Ambiguous: true}
		case fault == 3:
			event = PutDone{Failed: Full}
		case fits:
			w.row = e.Value
			event = PutDone{OK: true}
		default:
			event = PutDone{Row: w.row}
		}
	case ReadRow:
		event = ReadDone{Row: w.row}
		if fault == 1 {
			event = ReadDone{Failed: Unavailable}
		}
	case FindSend:
		event = SendFound{Found: slices.Contains(w.log, e.Send)}
		if fault == 1 {
			event = SendFound{Failed: Unavailable}
		}
	case TakeMark:
		event = MarkTaken{}
		if fault == 1 {
			event = MarkTaken{Failed: Unavailable}
		}
	case AppendSend:
		event = AppendDone{}
		switch fault {
		case 1:
			event = AppendDone{Failed: Unavailable}
		case 2: // in the log, and nobody was told
			w.log = append(w.log, e.Send)
			event = AppendDone{Failed: Unavailable}
		case 3:
			w.late = append(w.late, e.Send)
			event = AppendDone{Failed: Full}
		default:
			w.log = append(w.log, e.Send)
		}
	}
	a.take(a.machine.Step(w.now, event))
}

// One key makes at most one send, whatever fails, crashes, comes late or meets;
// and who is told that a send was accepted finds that very one in the log.
func TestOneKeyOneSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &acceptWorld{now: time.Unix(1_800_000_000, 0)}
		var open, all []*attempt
		for n := range rapid.IntRange(3, 60).Draw(t, "steps") {
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case kind <= 1:
				a := w.arrive(n, byte(rapid.IntRange(1, 2).Draw(t, "body")))
				open, all = append(open, a), append(all, a)
			case kind == 2:
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 15_000).Draw(t, "ms")) * time.Millisecond)
			case kind == 3 && len(open) > 0: // the process dies, or stops for good
				i := rapid.IntRange(0, len(open)-1).Draw(t, "dies")
				open = append(open[:i:i], open[i+1:]...)
			case kind == 4 && len(w.late) > 0:
				w.log, w.late = append(w.log, w.late[0]), w.late[1:]
			case len(open) > 0:
				i := rapid.IntRange(0, len(open)-1).Draw(t, "who")
				w.step(open[i], max(0, rapid.IntRange(-6, 3).Draw(t, "fault")))
				if open[i].reply != nil {
					open = append(open[:i:i], open[i+1:]...)
				}
			}
		}
		w.log = append(w.log, w.late...)
		w.late = nil
		for _, id := range w.log {
			if id != w.log[0] {
				t.Fatalf("two sends of one key: %v and %v", w.log[0], id)
			}
		}
		body := byte(0)
		for _, a := range all {
			if a.reply == nil || a.reply.Refusal != 0 {
				continue
			}
			if len(w.log) == 0 || a.reply.Send != w.log[0] {
				t.Fatalf("accepted as %v, the log has %v", a.reply.Send, w.log)
			}
			if body != 0 && a.body != body {
				t.Fatal("two bodies were accepted under one key")
			}
			body = a.body
		}
		// Once everything is quiet the key can be finished by its owner's body.
		w.now = w.now.Add(time.Minute)
		accepted := false
		for n, body := range []byte{1, 2} {
			a := w.arrive(1000+n, body)
			for a.reply == nil {
				w.step(a, 0)
			}
			switch {
			case a.reply.Refusal == 0 && accepted:
				t.Fatal("both bodies were accepted")
			case a.reply.Refusal == 0:
				accepted = true
			case a.reply.Refusal != Mismatch:
				t.Fatalf("refused with %d when all is quiet", a.reply.Refusal)
			}
		}
		if !accepted {
			t.Fatal("nobody can use the key any more")
		}
	})
}

func TestAcceptStories(t *testing.T) {
	run := func(w *acceptWorld, a *attempt) Reply {
		for a.reply == nil {
			w.step(a, 0)
		}
		return *a.reply
	}
	w := &acceptWorld{now: time.Unix(1_800_000_000, 0)}
	first := run(w, w.arrive(1, 1))
	if first.Refusal != 0 || first.Repeat || len(w.log) != 1 {
		t.Fatalf("%+v", first)
	}
	w.now = w.now.Add(24 * time.Hour)
	if again := run(w, w.arrive(2, 1)); again.Send != first.Send || !again.Repeat || !again.Accepted.Equal(first.Accepted) || len(w.log) != 1 {
		t.Fatalf("%+v", again)
	}
	if other := run(w, w.arrive(3, 2)); other.Refusal != Mismatch {
		t.Fatalf("%+v", other)
	}

	// Once the send is in its log, the request that made it need not come back:
	// the same answer at once, and nothing is appended again.
	w = &acceptWorld{now: time.Unix(1_800_000_000, 0)}
	died := w.arrive(1, 1)
	for len(w.log) == 0 {
		w.step(died, 0)
	}
	if r := run(w, w.arrive(2, 1)); r.Refusal != 0 || !r.Repeat || r.Send != w.log[0] || len(w.log) != 1 {
		t.Fatalf("%+v of %v", r, w.log)
	}

	// While it runs, and once it stays pending for more than 10 s.
	w = &acceptWorld{now: time.Unix(1_800_000_000, 0)}
	stuck := w.arrive(1, 1)
	w.step(stuck, 0) // the row is written, and the process stops
	if r := run(w, w.arrive(2, 1)); r.Refusal != Running {
		t.Fatalf("%+v", r)
	}
	began := w.now
	w.now = w.now.Add(ResumeAfter + 1)
	resumed := run(w, w.arrive(3, 1))
	if resumed.Refusal != 0 || !resumed.Accepted.Equal(began) || resumed.Send != stuck.machine.entry.Send {
		t.Fatalf("%+v: a resumed request keeps the id and the instant of the first", resumed)
	}

	// Storage is full: the key is free for the next request at once.
	w = &acceptWorld{now: time.Unix(1_800_000_000, 0)}
	full := w.arrive(1, 1)
	w.step(full, 0)
	w.step(full, 0)
	w.step(full, 3)
	if r := run(w, full); r.Refusal != Full {
		t.Fatalf("%+v", r)
	}
	if r := run(w, w.arrive(2, 1)); r.Refusal != 0 || r.Send != full.machine.entry.Send {
		t.Fatalf("%+v", r)
	}

	// Without a key nothing is kept.
	plain := NewAccept(false, [32]byte{}, tocsin.SendID{9})
	if _, ok := plain.Step(w.now, Arrived{}).(TakeMark); !ok {
		t.Fatal("a request without a key waits for something")
	}
}
