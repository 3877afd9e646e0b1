package sim

import (
	"time"

	"github.com/tocsin-push/tocsin"
)

// verdict is what judge decided for one push.
type verdict struct {
	fault   Fault
	attempt uint8
	answer  *Answer // set when fault is Scripted
	delay   time.Duration
}

// judge draws what happens to a push that is well formed and authorised.
func (s *session) judge(token, send uint64) verdict {
	r := s.rules.Load()
	v := verdict{delay: time.Duration(r.Delay)}
	if s.trouble.refuse.take() {
		v.fault = Refused
		return v
	}
	if r.script != nil {
		if answers := r.script[token]; answers != nil {
			v.fault, v.attempt = Scripted, s.attempts.count(token, send)
			v.answer = &answers[min(int(v.attempt), len(answers))-1]
			if v.answer.Delay > 0 {
				v.delay = time.Duration(v.answer.Delay)
			}
			return v
		}
	}
	if !r.faulty {
		return v
	}
	switch v.fault = draw(&r.sums, s.seed, token); {
	case v.fault == NoFault, v.fault.lasting() && v.fault != Slow:
	case v.fault == Slow:
		v.delay = time.Duration(r.SlowDelay)
	default:
		if v.attempt = s.attempts.count(token, send); int(v.attempt) > r.Failures {
			v.fault = NoFault
		}
	}
	return v
}

// status is what is recorded of a push: of the script, or of what is wrong with
// it, or of one that is taken; 0 when it is not processed.
func (v *verdict) status(wrong, taken int) int {
	switch {
	case v.fault == Scripted && v.answer.GoAway:
		return 0
	case v.fault == Scripted:
		return v.answer.Status
	case wrong != 0:
		return wrong
	case v.fault == BlackHole || v.fault == Refused:
		return 0
	}
	return taken
}

// settle records a push, and tells whether it is to be answered. The record can
// be read once the batch is answered. An error ends the connection.
func (s *session) settle(stream uint32, token, send uint64, id *[16]byte, status int, v *verdict) (answer bool, err error) {
	r := s.conn.records.next()
	r.At, r.Token, r.Send, r.ID = s.conn.pipe.nanos, token, send, *id
	r.Status, r.Attempt, r.Provider, r.Fault = uint16(status), v.attempt, s.provider, v.fault
	switch {
	case v.fault == Scripted && v.answer.GoAway:
		s.scriptedGoAway(stream, v.answer.Reason)
		return false, nil
	case v.fault == Scripted && status == 0:
		return false, s.withhold(stream, BlackHole)
	case v.fault.unanswered():
		return false, s.withhold(stream, v.fault)
	}
	return true, nil
}

// scriptedGoAway leaves this stream and later ones unprocessed.
func (s *session) scriptedGoAway(stream uint32, reason string) {
	if s.provider == tocsin.APNs {
		reason = `{"reason":"` + reason + `"}`
	}
	if !s.conn.goneAway {
		s.conn.goAway(stream-2, reason)
	}
}

// retryAfter is the header's seconds, for an answer that says "later" on its own
// account or because of a fault; 0: no such header.
func (s *session) retryAfter(v *verdict, later bool) int {
	switch {
	case v.fault == Scripted:
		return v.answer.RetryAfter
	case later || v.fault == Throttled || v.fault == Unavailable:
		return s.rules.Load().RetryAfter
	}
	return 0
}

// withhold carries out a fault that leaves the sender without an answer.
func (s *session) withhold(stream uint32, f Fault) error {
	c := s.conn
	switch f {
	case Lost, BlackHole:
		c.silent(stream)
	case Cut:
		c.flush() // the answers before it were under way already
		return errCut
	case Reset:
		c.out = appendReset(c.out, stream, codeInternal)
	case Refused:
		c.out = appendReset(c.out, stream, codeRefusedStream)
	}
	return nil
}
