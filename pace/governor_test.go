package pace

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// service plays a provider with a quota of its own: a bucket that fills over
// depth, and answers with 429 what finds it empty.
type service struct {
	*night
	rate      float64 // a second
	depth     time.Duration
	wait      time.Duration
	latency   time.Duration
	tokens    float64
	at        time.Time
	quietTo   time.Time // what was told and heard
	heard     time.Time
	broken    int // written in that time
	offered   []float64
	accepted  []float64 // by second
	throttled int
}

func serve(t *testing.T, quota int, depth, wait time.Duration) (*service, provider.Route) {
	s := &service{night: nightfall(t, 200_000), depth: depth, wait: wait, latency: 30 * time.Millisecond, at: start.Add(-time.Hour)}
	r := provider.Route{Provider: tocsin.FCM, Credential: tocsin.CredentialID{1}}
	s.open(r, "project")
	s.tell(Configured{Subject: "project", Quota: quota})
	s.answer = func(_ *caller, count int, done func(int, int, time.Duration)) {
		if s.now.Before(s.quietTo) && s.now.Sub(s.heard) > 5*time.Millisecond {
			s.broken += count
		}
		s.tokens = min(s.rate*s.depth.Seconds(), s.tokens+s.rate*s.now.Sub(s.at).Seconds())
		s.at = s.now
		accepted := min(count, int(s.tokens))
		s.tokens -= float64(accepted)
		second := int(s.now.Sub(start) / time.Second)
		for len(s.offered) <= second {
			s.offered, s.accepted = append(s.offered, 0), append(s.accepted, 0)
		}
		s.offered[second] += float64(count)
		s.accepted[second] += float64(accepted)
		s.throttled += count - accepted
		s.after(s.latency, func() {
			wait := time.Duration(0)
			if accepted < count {
				wait = s.wait
				s.heard, s.quietTo = s.now, later(s.quietTo, s.now.Add(wait))
			}
			done(accepted, count-accepted, wait)
		})
	}
	return s, r
}

func sum(list []float64, from, to int) (total float64) {
	for i := from; i < min(to, len(list)); i++ {
		total += list[i]
	}
	return total
}

// shares are what was offered and what was accepted of what is granted now.
func (s *service) shares(from, to int) (offered, used float64) {
	granted := s.rate * float64(to-from)
	return sum(s.offered, from, to) / granted, sum(s.accepted, from, to) / granted
}

// FCM is configured at 900,000 a minute and grants less, and changes that
// without a word: half a minute after each change no more than 110 %
// of it is offered, at least 90 % is used, and Retry-After is never broken.
// Whoever asks for longer waits is asked less often for more, and it takes longer.
func TestConvergesOnWhatIsGranted(t *testing.T) {
	issue := []float64{600_000, 150_000, 900_000}
	for _, test := range []struct {
		depth, wait, settle, phase time.Duration
		granted                    []float64
	}{
		{time.Second, time.Second, 30 * time.Second, 45 * time.Second, issue},
		{2 * time.Second, time.Second, 30 * time.Second, 45 * time.Second, issue},
		{time.Second, time.Second, 30 * time.Second, 2 * time.Minute, issue},
		{time.Second, time.Second, 30 * time.Second, 2 * time.Minute, []float64{600_000, 60_000, 600_000}},
		{time.Second, time.Second, 30 * time.Second, 2 * time.Minute, []float64{300_000, 450_000, 400_000, 420_000}},
		{time.Second, time.Second, 30 * time.Second, 2 * time.Minute, []float64{800_000, 850_000, 90_000, 880_000, 30_000}},
		{500 * time.Millisecond, time.Second, 30 * time.Second, 2 * time.Minute, issue},
		{200 * time.Millisecond, time.Second, 30 * time.Second, 2 * time.Minute, issue},
		{10 * time.Second, time.Second, 30 * time.Second, 2 * time.Minute, issue},
		{time.Minute, time.Second, 2 * time.Minute, 6 * time.Minute, issue},
		{time.Second, 2 * time.Second, 90 * time.Second, 8 * time.Minute, issue},
		{10 * time.Second, 10 * time.Second, 5 * time.Minute, 20 * time.Minute, issue},
	} {
		for _, latency := range []time.Duration{2 * time.Millisecond, 30 * time.Millisecond} {
			t.Run(fmt.Sprintf("saves %v, waits %v, answers after %v, %.0f for %v", test.depth, test.wait, latency, test.granted, test.phase), func(t *testing.T) {
				s, r := serve(t, 900_000, test.depth, test.wait)
				s.latency = latency
				for sends := range byte(3) {
					s.send(sends+1, tocsin.Urgent, r, "project", 100_000_000)
				}
				phase, settle := int(test.phase.Seconds()), int(test.settle.Seconds())
				for i, perMinute := range test.granted {
					s.rate = perMinute / 60
					s.run(start.Add(time.Duration(i+1) * test.phase))
					offered, used := s.shares(i*phase+settle, (i+1)*phase)
					t.Logf("of %.0f a minute: offered %.1f %%, used %.1f %%, %d times 429 so far", perMinute, 100*offered, 100*used, s.throttled)
					if offered > 1.1 || used < 0.9 {
						t.Errorf("of %.0f a minute: offered %.1f %%, used %.1f %%", perMinute, 100*offered, 100*used)
					}
				}
				if s.broken > 0 {
					t.Errorf("%d were written before Retry-After was over", s.broken)
				}
			})
		}
	}
}

// What one provider grants its subject is nothing to another, in the same
// process and of the same class.
func TestOneSubjectThatIsSlowedLeavesAnotherAlone(t *testing.T) {
	s, r := serve(t, 900_000, time.Second, time.Second)
	s.rate = 1000
	other := provider.Route{Provider: tocsin.FCM, Credential: tocsin.CredentialID{2}}
	s.open(other, "other")
	s.tell(Configured{Subject: "other", Quota: 600_000})
	limited, free := s.answer, 0
	s.answer = func(c *caller, count int, done func(int, int, time.Duration)) {
		if c.subject == "project" {
			limited(c, count, done)
			return
		}
		free += count
		s.after(s.latency, func() { done(count, 0, 0) })
	}
	s.send(1, tocsin.Urgent, r, "project", 100_000_000)
	s.send(2, tocsin.Urgent, other, "other", 100_000_000)
	s.run(start.Add(2 * time.Minute))
	if offered, used := s.shares(30, 120); offered > 1.1 || used < 0.9 {
		t.Errorf("of a tenth of the quota: offered %.1f %%, used %.1f %%", 100*offered, 100*used)
	}
	if want := 10_000 * 119; free < want*98/100 || free > want*101/100 {
		t.Errorf("the other one sent %d in two minutes, want %d", free, want)
	}
}

// Sends that are not urgent rise from nothing to the quota in the ramp, one
// push at once is not held up, and urgent ones need not wait for it.
func TestNormalSendsRamp(t *testing.T) {
	const quota, ramp = 600_000, time.Minute
	left := func(class tocsin.Class, from, to time.Duration) int {
		s, r := serve(t, quota, time.Second, time.Second)
		s.rate = 20_000
		s.tell(Configured{Subject: "project", Quota: quota, Ramp: ramp})
		s.run(start.Add(10 * time.Second)) // long after the first instant
		n := 0
		s.send(1, class, r, "project", 10_000_000).wrote = func(at time.Time, count int) {
			if d := at.Sub(start.Add(10 * time.Second)); d >= from && d < to {
				n += count
			}
		}
		s.run(start.Add(10*time.Second + to))
		return n
	}
	for _, test := range []struct {
		class       tocsin.Class
		from, to    time.Duration
		least, most int
	}{
		{tocsin.Normal, 0, 50 * time.Millisecond, 1, 110},
		{tocsin.Normal, 0, time.Second, 200, 400},
		{tocsin.Normal, 0, 30 * time.Second, 70_000, 85_000},
		{tocsin.Normal, 60 * time.Second, 70 * time.Second, 98_000, 100_000},
		{tocsin.Urgent, 0, time.Second, 9_700, 10_000},
		{tocsin.Transactional, 0, time.Second, 9_700, 10_000},
	} {
		if n := left(test.class, test.from, test.to); n < test.least || n > test.most {
			t.Errorf("%v, %v to %v: %d left, want %d to %d", test.class, test.from, test.to, n, test.least, test.most)
		}
	}
}

// A ramp goes down as it went up while nobody sends.
func TestARampGoesDown(t *testing.T) {
	r := ramp{over: time.Minute}
	at := start
	for range 31 {
		r.climb(at, 1000)
		at = at.Add(time.Second)
	}
	if r.level < 0.49 || r.level > 0.52 {
		t.Fatalf("level %v after half of the time", r.level)
	}
	r.wanted = false
	r.climb(at.Add(20*time.Second), 1000)
	if r.level > 0.19 || r.level < 0.1 {
		t.Fatalf("level %v after a third of the time unused", r.level)
	}
}

// While answers come late a rate that was lowered does not grow.
func TestLateAnswersHoldTheRate(t *testing.T) {
	s, r := serve(t, 900_000, time.Second, time.Second)
	s.rate = 5000
	s.send(1, tocsin.Urgent, r, "project", 100_000_000)
	s.run(start.Add(60 * time.Second))
	g := &s.m.subjects["project"].governor
	low := g.rate(s.now, 15_000)
	if low == 0 || low > 6000 {
		t.Fatalf("%v a second of 5000 granted", low)
	}
	s.rate, s.latency = 15_000, 600*time.Millisecond
	s.run(start.Add(100 * time.Second))
	if rate := g.rate(s.now, 15_000); rate > 1.1*low || g.latest < 500*time.Millisecond {
		t.Errorf("it grew from %v to %v with answers of %v", low, rate, g.latest)
	}
	s.latency = 30 * time.Millisecond
	s.run(start.Add(160 * time.Second))
	if rate := g.rate(s.now, 15_000); rate < 14_000 {
		t.Errorf("%v a second after answers were quick again", rate)
	}
}
