package fanout

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

func TestShellSendsToEverybodyOnce(t *testing.T) {
	w := newTown(t, 5000, nil)
	w.owner()
	s := w.closed(w.send(1, &record.Slice{}))
	if s.Audience != 5000 || s.Count(tocsin.Accepted) != 5000 {
		t.Fatalf("audience %d, accepted %d", s.Audience, s.Count(tocsin.Accepted))
	}
	for n := range 5000 {
		if w.edge.times[string(address(n))] != 1 {
			t.Fatalf("person %d was reached %d times", n, w.edge.times[string(address(n))])
		}
	}
	one := w.send(2, &record.Slice{
		Message:    &record.Message{Fallback: "en", Languages: map[string]*record.Text{"en": {Title: "hi {{ name }}", Body: "{{ code }}"}}},
		Recipients: []*record.Recipient{{Profile: "u:7", Values: map[string]string{"code": "1234"}}, {Profile: "u:8"}, {Profile: "u:nobody"}},
	})
	s = w.closed(one)
	if s.Count(tocsin.Accepted) != 2 || s.Unknown != 1 {
		t.Fatalf("accepted %d, unknown %d", s.Count(tocsin.Accepted), s.Unknown)
	}
	if text := string(w.edge.seen[string(address(7))]); !strings.Contains(text, "hi n7") || !strings.Contains(text, "1234") {
		t.Errorf("rendered %s", text)
	}
}

// Providers that are told how long a push may wait are told what is left, not
// what the send had at first.
func TestShellTellsTheTimeLeft(t *testing.T) {
	w := newTown(t, 10, nil)
	w.owner()
	for n, waited := range []time.Duration{0, 30 * time.Minute, 59*time.Minute + 30*time.Second} {
		s := &record.Slice{Due: time.Now().Add(-waited).UnixNano(), Options: &record.Options{Ttl: int64(time.Hour)}}
		w.closed(w.send(byte(n+1), s))
		if over := w.edge.ttl - (time.Hour - waited); over < -5*time.Second || over > time.Hour/ttlSteps {
			t.Errorf("after %v of an hour the provider may keep it %v", waited, w.edge.ttl)
		}
	}
	due := time.Unix(1_800_000_000, 0)
	for _, c := range []struct{ whole, waited, want time.Duration }{
		{time.Hour, 0, time.Hour}, {time.Hour, -time.Minute, time.Hour}, {time.Hour, 2 * time.Hour, 0}, {time.Second, 0, time.Second},
		{10 * time.Second, 3500 * time.Millisecond, 7 * time.Second}, {64 * time.Hour, 90 * time.Minute, 63 * time.Hour}, {0, 0, 0},
	} {
		if got := timeLeft(due, due.Add(c.whole), due.Add(c.waited)); got != c.want {
			t.Errorf("%v of %v: %v is left, want %v", c.waited, c.whole, got, c.want)
		}
	}
}

// Pace learns the weight of a project with each of its slices.
func TestShellTellsWeights(t *testing.T) {
	w := newTown(t, 10, nil)
	w.owner()
	for n, weight := range []int{1, 7, 1} {
		w.mu.Lock()
		w.weight = weight
		w.mu.Unlock()
		w.closed(w.send(byte(n+1), &record.Slice{}))
		state, err := w.lanes.State(w.ctx)
		if err != nil || state.Weight(project) != weight {
			t.Fatalf("pace has weight %d, want %d: %v", state.Weight(project), weight, err)
		}
	}
}

func TestShellAccountsForEveryAnswer(t *testing.T) {
	w := newTown(t, 3000, nil)
	w.edge.answer = func(a []byte) (provider.Result, provider.Detail) {
		switch n := binary.BigEndian.Uint64(a[24:]); {
		case n%10 == 1:
			return provider.Gone, provider.Detail{GoneAt: time.UnixMilli(5000)}
		case n%10 == 2:
			return provider.Refused, provider.Detail{Reason: tocsin.ReasonToken}
		case n%10 == 3 && w.edge.times[string(a)] == 0:
			return provider.Later, provider.Detail{Reason: tocsin.ReasonThrottled, RetryAfter: time.Millisecond}
		case n%10 == 4 && w.edge.times[string(a)] == 0:
			return provider.Lost, provider.Detail{}
		}
		return provider.Accepted, provider.Detail{}
	}
	w.owner()
	id := w.send(1, &record.Slice{})
	gone, written := 0, 0
	s := w.until(func(e *record.Envelope, v ledger.Verdict) bool {
		for _, b := range e.GetSettle().GetWritten() {
			written += int(b.Count)
		}
		for _, dead := range e.GetSettle().GetGone() {
			gone++
			if n := binary.BigEndian.Uint64(dead.Subscription[8:]); n%10 != 2 || dead.Version != 1 || dead.At != 5e9 {
				t.Errorf("dead address %v", dead)
			}
		}
		return v.InForce && e.GetClose() != nil && v.Send.ID == id
	}).Send
	if s.Count(tocsin.Gone) != 300 || s.Reasons(tocsin.Refused, tocsin.ReasonToken) != 300 || s.Count(tocsin.Accepted) != 2400 ||
		s.Doubtful(tocsin.Accepted) != 300 || gone != 300 || written != 3600 {
		t.Fatalf("gone %d (%d told), refused %d, accepted %d, doubtful %d, written %d", s.Count(tocsin.Gone), gone,
			s.Count(tocsin.Refused), s.Count(tocsin.Accepted), s.Doubtful(tocsin.Accepted), written)
	}
}

func TestShellLeavesWithoutAMark(t *testing.T) {
	w := newTown(t, 20_000, nil)
	leave := w.owner()
	id := w.send(1, &record.Slice{})
	claims := 0
	w.until(func(e *record.Envelope, v ledger.Verdict) bool {
		if v.InForce && e.GetClaim() != nil {
			claims++
		}
		return claims == 3
	})
	leave()
	w.owner()
	if s := w.closed(id); s.Count(tocsin.Accepted) != 20_000 || s.Doubtful(tocsin.Accepted) != 0 {
		t.Fatalf("accepted %d, doubtful %d", s.Count(tocsin.Accepted), s.Doubtful(tocsin.Accepted))
	}
}

func TestShellWaitsForAnotherCredential(t *testing.T) {
	w := newTown(t, 2000, nil)
	w.edge.wrong = 1
	w.owner()
	id := w.send(1, &record.Slice{})
	w.until(func(e *record.Envelope, v ledger.Verdict) bool { return v.InForce && e.GetSettle() != nil })
	for line := ""; !strings.Contains(line, "refuses the credential"); {
		select {
		case line = <-w.log:
		case <-w.ctx.Done():
			t.Fatal("nobody is told")
		}
	}
	w.mu.Lock()
	w.version = 2
	c := provider.Credential{ID: credential, Project: project, Provider: tocsin.APNs, Version: 2}
	w.mu.Unlock()
	w.lanes.Replaced(c)
	if s := w.closed(id); s.Count(tocsin.Accepted) != 2000 {
		t.Fatalf("accepted %d", s.Count(tocsin.Accepted))
	}
	if _, refused := w.lanes.Refused(credential); refused {
		t.Error("still called refused")
	}
	total := 0
	for _, n := range w.edge.times {
		total += n
	}
	if total != 2001 {
		t.Errorf("the wrong credential cost %d pushes, want the one probe", total-2000)
	}
}

func TestShellStopsACancelledSend(t *testing.T) {
	w := newTown(t, 20_000, nil)
	w.edge.hold = true
	w.owner()
	id := w.send(1, &record.Slice{})
	w.until(func(e *record.Envelope, v ledger.Verdict) bool { return v.InForce && e.GetClaim() != nil })
	for !w.lanes.Busy() && w.ctx.Err() == nil { // before the cancel, which may leave nothing under way
		runtime.Gosched()
	}
	w.append(journal.Ledger, &record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: id.Bytes()}}})
	w.until(func(e *record.Envelope, v ledger.Verdict) bool { return v.InForce && e.GetCancel() != nil })
	w.edge.release((&edgeLane{edge: w.edge}).finish)
	s := w.closed(id)
	if w.lanes.Busy() {
		t.Error("busy after the last push was accounted for")
	}
	if s.Count(tocsin.Accepted) != len(w.edge.seen) || s.Count(tocsin.Accepted)+s.Count(tocsin.Cancelled) != 20_000 {
		t.Fatalf("accepted %d, reached %d, cancelled %d", s.Count(tocsin.Accepted), len(w.edge.seen), s.Count(tocsin.Cancelled))
	}
}

func TestShellSendsNothingToThoseItMayNotSendTo(t *testing.T) {
	w := newTown(t, 10, nil)
	out := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: []*record.Change{{Change: &record.Change_OptIn{
		OptIn: &record.OptIn{Subscription: binary.BigEndian.AppendUint64(make([]byte, 8), 3)}}}}}}}, time.Now(), scope)
	if err := w.audience.Apply(2, out); err != nil {
		t.Fatal(err)
	}
	w.owner()
	s := w.closed(w.send(1, &record.Slice{
		Message: &record.Message{Fallback: "en", Languages: map[string]*record.Text{"en": {Title: "hi", Body: "{{ word }}"}}},
		Recipients: []*record.Recipient{{Profile: "u:1"}, {Profile: "u:2"},
			{Profile: "u:3", Values: map[string]string{"word": strings.Repeat("long ", 1000)}}, {Profile: "u:4"}},
	}))
	if s.Count(tocsin.Accepted) != 2 || s.Reasons(tocsin.Suppressed, tocsin.ReasonOptedOut) != 1 || s.Reasons(tocsin.Refused, tocsin.ReasonSize) != 1 {
		t.Fatalf("accepted %d, suppressed %d, refused %d", s.Count(tocsin.Accepted), s.Count(tocsin.Suppressed), s.Count(tocsin.Refused))
	}
	if len(w.edge.seen) != 2 || w.edge.seen[string(address(1))] == nil || w.edge.seen[string(address(4))] == nil {
		t.Fatal("the wrong people were reached")
	}
}
