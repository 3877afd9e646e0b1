package bulk

import "sync"

// Suspicion tells a credential that a service refuses from single pushes that
// are refused as if it were, such as a subscription made under an older key.
// All methods may be called at once.
type Suspicion struct {
	mu       sync.Mutex
	accepted uint64 // when the row began
	row      int    // refusals with nothing accepted between
}

// rowOfRefusals is how many refusals in a row are laid on the pushes, once
// something was accepted.
const rowOfRefusals = 32

// Refused counts a refusal, given how many pushes the pool had accepted by
// then, and reports whether the credential is at fault: after patience refusals
// when nothing ever was accepted, else after a long row of them.
func (s *Suspicion) Refused(accepted uint64, patience int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if accepted != s.accepted {
		s.accepted, s.row = accepted, 0
	}
	s.row++
	if accepted > 0 {
		patience = rowOfRefusals
	}
	return s.row > patience
}
