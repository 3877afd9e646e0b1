package sim

import (
	"errors"
	"fmt"
	"time"
)

// Options say how one simulated provider behaves. They can be changed while it
// runs (POST /faults).
type Options struct {
	Shares     Shares   `json:"shares"`
	Failures   int      `json:"failures"`    // attempts that a passing fault lasts, at least 1
	RetryAfter int      `json:"retry_after"` // seconds, on 429 and 503; 0: no such header
	SlowDelay  Duration `json:"slow_delay"`  // of tokens drawn as slow
	Delay      Duration `json:"delay"`       // before every other answer

	// Script gives the answers of single tokens, an attempt each; the last one
	// repeats. Keys are tokens as sent; for Web Push, the endpoint's path.
	Script map[string][]Answer `json:"script,omitempty"`

	GoAwayEvery int    `json:"goaway_every"` // pushes on a connection before a GOAWAY; 0: never
	GoAwayDebug string `json:"goaway_debug"` // its debug data
	Streams     int    `json:"streams"`      // advertised SETTINGS_MAX_CONCURRENT_STREAMS
	FirstStream int    `json:"first_stream"` // the same until the first accepted token (APNs); 0: Streams
	MaxRate     int    `json:"max_rate"`     // pushes a second read by all connections together; 0: no limit

	// Quota is a bucket of this many messages, refilled over a minute; a
	// message that finds it empty is answered 429. 0: none. QuotaWindow
	// shortens the minute without changing the mean rate.
	Quota       int      `json:"quota"`
	QuotaWindow Duration `json:"quota_window"`

	Revoked  bool     `json:"revoked"`   // every credential is refused
	TokenAge Duration `json:"token_age"` // greatest age of a provider token

	Network Network  `json:"network"`
	Then    []Change `json:"then,omitempty"` // what changes later, one after the other
}

// Validate reports the first mistake.
func (o *Options) Validate() error {
	_, err := o.compile()
	return err
}

func (o *Options) check() error {
	if _, err := o.Shares.limits(); err != nil {
		return err
	}
	if err := o.Network.validate(); err != nil {
		return err
	}
	switch {
	case o.Failures < 1 || o.Failures > 200:
		return fmt.Errorf("sim: failures is %d: want 1 to 200", o.Failures)
	case o.Streams < 1 || o.FirstStream < 0:
		return errors.New("sim: streams must be at least 1, first_stream at least 0")
	case o.RetryAfter < 0 || o.GoAwayEvery < 0 || o.MaxRate < 0 || o.Quota < 0 || o.Delay < 0 || o.SlowDelay < 0:
		return errors.New("sim: an option is negative")
	case o.Quota > 0 && o.QuotaWindow <= 0:
		return errors.New("sim: quota_window must be above 0")
	case o.TokenAge <= 0:
		return errors.New("sim: token_age must be above 0")
	}
	for token, answers := range o.Script {
		if len(answers) == 0 {
			return fmt.Errorf("sim: script of a token of %d bytes has no answer", len(token))
		}
		for _, a := range answers {
			if a.Status != 0 && (a.Status < 200 || a.Status > 599) {
				return fmt.Errorf("sim: scripted status %d: want 200 to 599, or 0", a.Status)
			}
		}
	}
	return nil
}

func defaultOptions() Options {
	return Options{Failures: 1, RetryAfter: 1, SlowDelay: Duration(time.Second), Streams: 1000,
		GoAwayDebug: `{"reason":"Shutdown"}`, QuotaWindow: Duration(time.Minute), TokenAge: Duration(time.Hour)}
}

// rules are Options made ready for the hot path.
type rules struct {
	Options
	sums     [Scripted]float64
	faulty   bool // some share is above 0
	script   map[uint64][]Answer
	interval time.Duration // between messages under Quota
	next     *rules        // after the first of Then
	timer    *time.Timer   // of next
	over     chan struct{} // closed when other rules are in force
}

func (o Options) compile() (*rules, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	next, err := o.following()
	if err != nil {
		return nil, err
	}
	r := &rules{Options: o, next: next, over: make(chan struct{})}
	r.sums, _ = o.Shares.limits()
	r.faulty = r.sums[BlackHole] > 0
	if len(o.Script) > 0 {
		r.script = make(map[uint64][]Answer, len(o.Script))
		for token, answers := range o.Script {
			r.script[Hash(token)] = answers
		}
	}
	if o.Quota > 0 {
		r.interval = time.Minute / time.Duration(o.Quota)
	}
	return r, nil
}
