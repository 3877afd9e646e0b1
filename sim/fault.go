package sim

import (
	"fmt"
	"time"
)

// Fault is what a simulated provider does to a push instead of taking it. Which
// one is drawn for a token depends on the seed and the token alone.
type Fault uint8

const (
	NoFault     Fault = iota
	Gone              // the address is dead: 410, UNREGISTERED
	BadToken          // the address is malformed or of another environment
	Slow              // taken, answered late
	Throttled         // 429 with Retry-After ... from here on the fault lasts Options.Failures attempts
	Unavailable       // 503
	Expired           // the provider token is called expired
	Lost              // taken and recorded, never answered
	Cut               // taken and recorded, then the connection breaks
	Reset             // taken and recorded, the stream ends in RST_STREAM
	Refused           // not processed: RST_STREAM with REFUSED_STREAM
	BlackHole         // not processed, never answered
	Scripted          // answered as Options.Script says
	faultCount
)

var faultNames = [faultCount]string{"", "gone", "bad_token", "slow", "throttled", "unavailable", "expired", "lost",
	"cut", "reset", "refused", "black_hole", "scripted"}

func (f Fault) String() string { return faultNames[f] }

// MarshalText implements encoding.TextMarshaler.
func (f Fault) MarshalText() ([]byte, error) { return []byte(faultNames[f]), nil }

// unanswered reports whether the sender is left without an HTTP answer.
func (f Fault) unanswered() bool { return f >= Lost && f <= BlackHole }

// lasting faults meet every attempt; the others stop after Options.Failures.
func (f Fault) lasting() bool { return f < Throttled }

// Shares says for which share of all tokens each fault is drawn: each
// between 0 and 1, and their sum at most 1.
type Shares struct {
	Gone        float64 `json:"gone"`
	BadToken    float64 `json:"bad_token"`
	Slow        float64 `json:"slow"`
	Throttled   float64 `json:"throttled"`
	Unavailable float64 `json:"unavailable"`
	Expired     float64 `json:"expired"`
	Lost        float64 `json:"lost"`
	Cut         float64 `json:"cut"`
	Reset       float64 `json:"reset"`
	Refused     float64 `json:"refused"`
	BlackHole   float64 `json:"black_hole"`
}

// limits returns, for each fault, the sum of the shares up to it.
func (s Shares) limits() (sums [Scripted]float64, err error) {
	for i, share := range [...]float64{Gone: s.Gone, BadToken: s.BadToken, Slow: s.Slow, Throttled: s.Throttled,
		Unavailable: s.Unavailable, Expired: s.Expired, Lost: s.Lost, Cut: s.Cut, Reset: s.Reset, Refused: s.Refused,
		BlackHole: s.BlackHole} {
		if !(share >= 0 && share <= 1) {
			return sums, fmt.Errorf("sim: share %s is %v: want 0 to 1", Fault(i), share)
		}
		if sums[i] = share; i > 0 {
			sums[i] += sums[i-1]
		}
	}
	if sums[BlackHole] > 1+1e-9 {
		return sums, fmt.Errorf("sim: shares sum to %v: want at most 1", sums[BlackHole])
	}
	return sums, nil
}

// Draw returns the fault of a token, by its Hash, under a seed.
func (s Shares) Draw(seed, token uint64) Fault {
	sums, err := s.limits()
	if err != nil {
		return NoFault
	}
	return draw(&sums, seed, token)
}

func draw(sums *[Scripted]float64, seed, token uint64) Fault {
	u := float64(mix(seed^token)>>11) / (1 << 53)
	if u >= sums[BlackHole] {
		return NoFault
	}
	for f := Gone; ; f++ {
		if u < sums[f] {
			return f
		}
	}
}

// Answer is one scripted answer.
type Answer struct {
	Status     int      `json:"status"`                // 0: never answered
	Reason     string   `json:"reason,omitempty"`      // APNs reason, FCM error code, or autopush errno
	RetryAfter int      `json:"retry_after,omitempty"` // seconds; 0: no such header
	Timestamp  int64    `json:"timestamp,omitempty"`   // APNs 410: milliseconds
	Body       string   `json:"body,omitempty"`        // instead of the body made from Reason
	GoAway     bool     `json:"goaway,omitempty"`      // answered by GOAWAY with Reason: this stream and later ones unprocessed
	Delay      Duration `json:"delay,omitempty"`
}

// Duration is a time.Duration with a text form such as "50ms".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	*d = Duration(parsed)
	return err
}
