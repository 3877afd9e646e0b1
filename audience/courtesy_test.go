package audience

import (
	"testing"
	"time"
)

// While a send reads, many askers together get their part of the processors, and one
// that is short more than one that goes on; without a send nobody waits.
func TestQuestionsGiveWayToSends(t *testing.T) {
	const processors, askers, lasting, slice = 2, 50, 10 * time.Second, 500 * time.Microsecond
	for _, round := range []struct {
		sends bool
		part  time.Duration
		share float64 // of the processors
	}{{true, courtesyShort, 0.5}, {true, courtesyPart, 1.0 / courtesyPart}, {false, courtesyPart, askers / processors}} {
		c := NewCourtesy()
		worked, wakes := time.Duration(0), [askers]time.Duration{}
		for now := time.Duration(0); now < lasting; now += slice {
			if round.sends {
				c.sent.Store(int64(now))
			}
			for i := range wakes {
				if wakes[i] <= now {
					worked += slice
					wakes[i] = now + slice + c.spend(now+slice, slice, round.part, processors)
				}
			}
		}
		if share := float64(worked) / float64(processors*lasting); share < round.share || share > 1.1*round.share {
			t.Errorf("%+v: questions took %.3f of the processors", round, share)
		}
	}
}

// One question is short until it has worked for long, or another is asked beside it.
func TestALongQuestionGetsLess(t *testing.T) {
	c := NewCourtesy()
	NewShard(0).GiveWay(c)
	c.sending()
	debt := func(q *question) time.Duration {
		c.mu.Lock()
		c.left, c.at = 0, time.Since(c.began)
		c.mu.Unlock()
		return q.work(courtesyLong * 2 / 3)
	}
	one := c.ask(t.Context())
	short := debt(one)
	if long := debt(one); long < 2*short {
		t.Errorf("a short question waits %v, a long one %v", short, long)
	}
	other := c.ask(t.Context())
	if beside := debt(other); beside < 2*short {
		t.Errorf("one question waits %v, one of two %v", short, beside)
	}
	one.done()
	other.done()
	if again := debt(&question{Courtesy: c}); again > 2*short {
		t.Errorf("a question waits %v when none is left", again)
	}
}

// What a send reads is what makes questions wait, until it has read nothing for a while.
func TestASendIsKnownByWhatItReads(t *testing.T) {
	s := NewShard(0)
	c := NewCourtesy()
	s.GiveWay(c)
	later := func(by time.Duration) time.Duration {
		return c.spend(time.Since(c.began)+by, time.Second, courtesyPart, 1)
	}
	if wait := later(0); wait != 0 {
		t.Errorf("waits %v and nobody sends", wait)
	}
	var into Recipients
	s.Load(news, Route{}, nil, nil, &into)
	if wait := later(0); wait < time.Second {
		t.Errorf("waits %v while somebody sends", wait)
	}
	if wait := later(2 * courtesyAfter); wait != 0 {
		t.Errorf("waits %v after the send", wait)
	}
}
