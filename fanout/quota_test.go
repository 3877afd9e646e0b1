package fanout

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// strict is a provider with a quota that it enforces: a bucket of a second's
// worth, and 429 with a second to wait beyond it. It writes at once and answers
// after a while.
type strict struct {
	edge
	configured int // a minute

	quota  sync.Mutex
	grants float64 // a second
	tokens float64
	at     time.Time
	wrote  []time.Time
	said   []time.Time // when somebody was told to wait
}

const latency = 20 * time.Millisecond

func (s *strict) Quota() int { return s.configured }
func (s *strict) Lane(provider.Route, provider.Credential) (provider.Lane, error) {
	return &strictLane{edgeLane: edgeLane{edge: &s.edge}, strict: s}, nil
}

type strictLane struct {
	edgeLane
	strict *strict
}

func (l *strictLane) Send(b *provider.Batch) {
	s, now := l.strict, time.Now()
	s.quota.Lock()
	defer s.quota.Unlock()
	s.tokens = min(s.grants, s.tokens+s.grants*now.Sub(s.at).Seconds())
	s.at = now
	throttled := false
	for i := range b.Addresses {
		if b.Results[i] = provider.Accepted; s.tokens < 1 {
			b.Results[i] = provider.Later
			b.Details = append(b.Details, provider.Detail{Index: i, Reason: tocsin.ReasonThrottled, Scope: provider.WholeQuota, RetryAfter: time.Second})
			throttled = true
		} else {
			s.tokens--
		}
		s.wrote = append(s.wrote, now)
	}
	if throttled {
		s.said = append(s.said, now.Add(latency))
	}
	b.Wrote = append(b.Wrote, provider.Written{To: len(b.Addresses), At: now})
	b.Left(len(b.Addresses))
	time.AfterFunc(latency, func() { b.Done(b) })
}

// The whole shell in virtual time: in no second more is written than is
// configured, 98 % of it is, and when the provider grants half of it that is
// found out, and no push leaves before it may.
func TestAQuotaIsKeptAndUsedWhereBytesLeave(t *testing.T) {
	for name, grants := range map[string]float64{"all of it": 2000, "half of it": 500} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &strict{configured: 60_000, grants: grants, at: time.Now(), edge: edge{seen: map[string][]byte{}, times: map[string]int{}}}
				w := newTown(t, 25_000, map[tocsin.Provider]provider.Provider{tocsin.APNs: s})
				w.ctx = context.WithoutCancel(w.ctx)
				w.config.APNs = Retry{First: time.Second, Most: time.Second}
				w.owner()
				due, id, waited := time.Now(), w.send(1, &record.Slice{}), time.Duration(0)
				sent := w.until(func(e *record.Envelope, v ledger.Verdict) bool {
					waited = max(waited, time.Duration(e.GetSettle().GetQuotaWait()))
					return v.InForce && e.GetClose() != nil && v.Send.ID == id
				}).Send
				if sent.Count(tocsin.Accepted) != 25_000 {
					t.Fatalf("%d accepted", sent.Count(tocsin.Accepted))
				}
				s.quota.Lock()
				defer s.quota.Unlock()
				last := s.wrote[len(s.wrote)-1]
				took := last.Sub(s.wrote[0]) // nothing is granted in the first instants, which another process may have used
				if ours := last.Sub(due) - waited; ours < 0 || ours > time.Second {
					t.Errorf("of the drift of the last push, %v, %v is called a wait for the quota", last.Sub(due), waited)
				}
				for i := 1000; i < len(s.wrote); i++ {
					if d := s.wrote[i].Sub(s.wrote[i-1000]); d < time.Second {
						t.Fatalf("1001 pushes within %v", d)
					}
				}
				for _, said := range s.said {
					i, _ := slices.BinarySearchFunc(s.wrote, said.Add(time.Millisecond), time.Time.Compare)
					if i < len(s.wrote) && s.wrote[i].Before(said.Add(time.Second)) {
						t.Fatalf("a push left %v after somebody was told to wait a second", s.wrote[i].Sub(said))
					}
				}
				granted := min(grants, 1000)
				used := 25_000 / granted / took.Seconds()
				t.Logf("%d written in %v: %.1f %% of what is granted, %d times 429", len(s.wrote), took, 100*used, len(s.wrote)-25_000)
				if least := map[float64]float64{500: 0.9, 1000: 0.98}[granted]; used < least {
					t.Errorf("%.1f %% of what is granted was used", 100*used)
				}
				if len(s.wrote) > 27_500 {
					t.Errorf("%d were offered", len(s.wrote))
				}
			})
		})
	}
}
