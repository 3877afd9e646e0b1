package fanout

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// What each answer becomes in the ledger, first and at the last attempt, and
// when it is tried again.
func TestWhatAnAnswerMeans(t *testing.T) {
	const later, released = ledger.Later, ledger.Released
	is := func(o tocsin.Outcome) ledger.Result { return ledger.Result(o) }
	tests := map[string]struct {
		answer Answer
		skip   bool
		first  ledger.Result
		last   ledger.Result
		reason tocsin.Reason
		mark   bool
		wait   time.Duration
		proven bool
	}{
		"accepted":     {answer: Answer{Result: provider.Accepted}, first: is(tocsin.Accepted), last: is(tocsin.Accepted), proven: true},
		"gone":         {answer: Answer{Result: provider.Gone}, first: is(tocsin.Gone), last: is(tocsin.Gone), proven: true},
		"refused":      {answer: Answer{Result: provider.Refused, Reason: tocsin.ReasonToken}, first: is(tocsin.Refused), last: is(tocsin.Refused), reason: tocsin.ReasonToken, proven: true},
		"one device":   {answer: Answer{Result: provider.Later, Reason: tocsin.ReasonThrottled}, first: later, last: later, reason: tocsin.ReasonThrottled, wait: 10 * time.Second, proven: true},
		"asked":        {answer: Answer{Result: provider.Later, Reason: tocsin.ReasonUnavailable, RetryAfter: time.Minute}, first: later, last: later, reason: tocsin.ReasonUnavailable, wait: time.Minute},
		"token":        {answer: Answer{Result: provider.Later, Reason: tocsin.ReasonCredential, RetryAfter: time.Second}, first: later, last: later, reason: tocsin.ReasonUnavailable, wait: time.Second},
		"fault":        {answer: Answer{Result: provider.Fault}, first: later, last: later, reason: tocsin.ReasonCredential, wait: time.Minute},
		"unprocessed":  {answer: Answer{Result: provider.Unprocessed}, first: later, last: later, reason: tocsin.ReasonNotProcessed, wait: 50 * time.Millisecond},
		"lost":         {answer: Answer{Result: provider.Lost}, first: later, last: is(tocsin.InDoubt), reason: tocsin.ReasonUnanswered, mark: true, wait: 10 * time.Second},
		"lost, skip":   {answer: Answer{Result: provider.Lost}, skip: true, first: is(tocsin.InDoubt), last: is(tocsin.InDoubt), reason: tocsin.ReasonUnanswered, mark: true},
		"unsent":       {answer: Answer{Result: provider.Unsent}, first: released, last: released},
		"never answer": {answer: Answer{}, first: released, last: released},
		"opted out":    {answer: Answer{Outcome: tocsin.Suppressed, Reason: tocsin.ReasonOptedOut}, first: is(tocsin.Suppressed), last: is(tocsin.Suppressed), reason: tocsin.ReasonOptedOut},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, limit := range []int{2, 1} {
				m := New(Default(), 0, 1)
				m.now = start
				s := &ledger.Send{Attempts: limit, OnDoubt: tocsin.Resend, Expiry: start.Add(time.Hour)}
				if test.skip {
					s.OnDoubt = tocsin.Skip
				}
				task := &task{feed: &feed{job: &job{send: s}, route: provider.Route{Provider: tocsin.FCM}}}
				test.answer.Count = 1
				run := m.decide(task, claimed(t), test.answer, 0, 1)
				want := test.first
				if limit == 1 {
					want = test.last
				}
				if ledger.Result(run.Result) != want || run.Mark != test.mark {
					t.Errorf("limit %d: result %d mark %v, want %d mark %v", limit, run.Result, run.Mark, want, test.mark)
				}
				if want != later {
					continue
				}
				if wait := time.Unix(0, run.NotBefore).Sub(start); wait != test.wait || tocsin.Reason(run.Reason) != test.reason {
					t.Errorf("waits %v for %v, want %v for %v", wait, tocsin.Reason(run.Reason), test.wait, test.reason)
				}
			}
			told := report(&task{feed: &feed{job: &job{}}, n: 1}, Answered{Answers: []Answer{test.answer}}, start)
			if (told.Proven == 1) != test.proven || (told.Faulted == 1) != (name == "fault") {
				t.Errorf("pace is told %+v", told)
			}
		})
	}
}

// claimed is a push in its first attempt.
func claimed(t *testing.T) ledger.Push {
	w := newWorld(t)
	a := w.owner()
	id := w.send(1, &record.Slice{}, 1)
	for len(a.delivers) == 0 {
		_ = a.read(5) || a.readSlices() || a.lookUp() || a.append(99, false) || a.grant(99)
	}
	return a.m.Fold().Send(id).Page(0).Push(0)
}

func TestNothingWaitsBeyondItsTimeToLive(t *testing.T) {
	m := New(Default(), 0, 1)
	m.now = start
	s := &ledger.Send{Attempts: 5, OnDoubt: tocsin.Resend, Expiry: start.Add(time.Second)}
	task := &task{feed: &feed{job: &job{send: s}, route: provider.Route{Provider: tocsin.APNs}}}
	run := m.decide(task, claimed(t), Answer{Count: 1, Result: provider.Later}, 0.5, 1)
	if at := time.Unix(0, run.NotBefore); !at.Equal(s.Expiry) {
		t.Errorf("waits until %v, want its expiry %v", at, s.Expiry)
	}
}
