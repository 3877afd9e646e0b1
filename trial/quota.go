package trial

import (
	"slices"
	"time"
)

// offered is what arrives on a quota from one process.
type offered struct {
	by    int
	quota *credential
}

type arrival struct {
	at time.Time
	n  int
}

func (s *simulated) offer(p *process, c *credential, at time.Time, n int) {
	key := offered{p.number, c}
	if s.offers == nil {
		s.offers = map[offered][]arrival{}
	}
	s.offers[key] = append(s.offers[key], arrival{at, n})
}

// judgeQuotas holds law L7 where the provider counts: what a process offers in
// any second is never more than its quota.
func (s *simulated) judgeQuotas() {
	for key, list := range s.offers {
		slices.SortFunc(list, func(a, b arrival) int { return a.at.Compare(b.at) })
		most, sum, from := max(1, key.quota.quota/60), 0, 0
		for _, a := range list {
			for sum += a.n; a.at.Sub(list[from].at) >= time.Second; from++ {
				sum -= list[from].n
			}
			if sum > most {
				s.w.broken("L7", "%s was offered %d by process %d in the second before %v, the quota is %d", key.quota.subject, sum, key.by, a.at.Sub(dawn), most)
				break
			}
		}
	}
}
