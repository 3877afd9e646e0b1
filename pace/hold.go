package pace

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
)

// consult does what is due for the shares of all subjects.
func (m *Machine) consult(now time.Time) {
	if m.process == "" {
		return
	}
	for _, s := range m.order {
		if s.held != nil {
			m.lapse(now, s)
			m.act(now, s)
		}
	}
}

// busy reports whether anything is asked for or under way.
func (s *subject) busy() bool {
	return s.underway > 0 || s.asks != [tocsin.Synthetic + 1]int{}
}

// lapse stops what was granted and has not left when our part is not ours any
// more.
func (m *Machine) lapse(now time.Time, s *subject) {
	h := s.held
	if h.lapsed || h.part == 0 || h.holds(now) {
		return
	}
	if h.lapsed = true; s.window.pending > 0 {
		m.out = append(m.out, Quiet{Subject: s.name, Until: now})
	}
	if !h.next.IsZero() { // a step of the wall clock ended it early
		h.next = now
	}
}

// act writes or reads the row of a subject when that is due.
func (m *Machine) act(now time.Time, s *subject) {
	h := s.held
	busy := s.busy()
	if busy {
		h.busy = now
	}
	if h.asking != nil || h.reading || h.next.IsZero() && !busy && !h.tell || now.Before(h.next) {
		return
	}
	if s.quota == 0 {
		m.listen(now, s, busy)
		return
	}
	if !busy && !h.tell && now.Sub(h.busy) >= linger && (h.mine(h.row) < 0 || s.window.used(now) == 0) {
		m.leave(now, s)
		return
	}
	mine, short := m.propose(now, s)
	switch since := now.Sub(h.wrote); {
	case h.mine(h.row) < 0 || h.tell || mine.Part < h.part || since >= renew || h.doubt != nil:
		m.put(now, s, &mine)
	case short && mine.Part > h.part:
		m.put(now, s, &mine)
	case short && now.Sub(h.looked) >= poll:
		h.reading, h.looked = true, now
		m.out = append(m.out, Consult{Subject: s.name})
	default:
		h.next = h.wrote.Add(renew)
		if at := h.looked.Add(poll); short && at.Before(h.next) {
			h.next = at
		}
		if at := now.Add(drain); h.goal < h.part && at.Before(h.next) {
			h.next = at
		}
	}
}

// propose is our share as it should stand in the row, and whether we are short:
// what is there for us is a good deal less than what we should have.
func (m *Machine) propose(now time.Time, s *subject) (mine Share, short bool) {
	h := s.held
	others, quota := h.live(now, s.quota)
	if quota != h.quota {
		h.quota = quota
		s.limit()
	}
	whole := h.whole()
	mine = Share{Process: h.process, Part: h.part, Quota: s.quota, Want: m.want(now, s), Level: s.ramp.written(now)}
	all := append(slices.Clone(others), mine)
	slices.SortFunc(all, func(a, b Share) int { return cmp.Compare(a.Process, b.Process) })
	at := slices.IndexFunc(all, func(s Share) bool { return s.Process == h.process })
	target := divide(whole, h.row.Edition, all)[at]
	n, free, lack := wanting(all), whole, 0
	for _, o := range others {
		free -= o.Part
		lack += max(0, o.least(whole, n)-o.Part)
	}
	slack := whole / 30
	if free < h.part { // the quota is less than it was
		target = min(target, max(0, free))
	} else if target < h.part && h.part-target <= slack && lack <= free-h.part {
		target = h.part
	}
	if target >= h.part {
		h.goal = h.part
		mine.Part = max(h.part, min(target, free))
		short = target-h.part > slack || h.part < mine.least(whole, n)
	} else {
		if h.goal = target; s.window.used(now) <= target {
			mine.Part = target
		}
	}
	s.limit()
	return mine, short
}

// put writes the row as it is known, with our share in place of what it was, or
// without it.
func (m *Machine) put(now time.Time, s *subject, mine *Share) {
	h := s.held
	m.serial++
	row := Row{Edition: h.row.Edition + 1, Slow: h.row.Slow}
	row.Shares, _ = h.live(now, 0)
	part := 0
	if mine != nil {
		mine.Serial, part = m.serial, mine.Part
		row.Shares = append(row.Shares, *mine)
	}
	if paused := s.governor.paused; h.tell {
		row.Slow = Slow{Serial: h.row.Slow.Serial + 1, Left: paused.Sub(now), Wait: s.governor.wait, Allowed: s.governor.allowed}
	} else if h.slow == row.Slow.Serial {
		row.Slow.Left, row.Slow.Allowed = max(0, min(row.Slow.Left, paused.Sub(now))), s.governor.allowed
	}
	h.telling, h.tell = h.tell, false
	if h.doubt == nil {
		h.doubt = &doubt{edition: h.row.Edition, first: m.serial, part: part, asked: now}
	}
	h.doubt.part = min(h.doubt.part, part)
	h.asking, h.asked, h.looked = &row, now, now
	s.limit()
	m.out = append(m.out, Consult{Subject: s.name, Old: h.row, New: &row})
}

// leave takes our share out of the row.
func (m *Machine) leave(now time.Time, s *subject) {
	h := s.held
	if h.goal = 0; h.mine(h.row) >= 0 {
		m.put(now, s, nil)
		return
	}
	h.next = time.Time{}
	s.limit()
}

// listen heeds and tells, at a subject without a quota, only what the provider
// asked for.
func (m *Machine) listen(now time.Time, s *subject, busy bool) {
	h := s.held
	switch {
	case h.tell:
		m.put(now, s, nil)
	case busy && now.Sub(h.looked) >= rumour:
		h.reading, h.looked = true, now
		m.out = append(m.out, Consult{Subject: s.name})
	case busy:
		h.next = h.looked.Add(rumour)
	default:
		h.next = time.Time{}
	}
}

// told takes in the answer to a Consult.
func (m *Machine) told(now time.Time, e Told) {
	s := m.subjects[e.Subject]
	if s == nil || s.held == nil {
		return
	}
	h := s.held
	asking := h.asking
	h.asking, h.reading, h.next = nil, false, now
	if !e.Wrote {
		h.tell = h.tell || h.telling
	}
	h.telling = false
	if e.Failed {
		h.next = now.Add(again)
		return
	}
	if asking != nil {
		h.tries++
	}
	if h.read(now, e.Row); e.Wrote {
		h.tries, h.wrote = 0, h.asked
		h.until, h.lapsed = h.asked.Add(lease), false
		if asking.Slow.Serial != h.slow { // it was ours
			h.slow = asking.Slow.Serial
		}
	}
	if h.tries >= 3 { // others write all the time
		h.next = now.Add(drain * time.Duration(1+m.serial%7))
	}
	if slow := h.row.Slow; slow.Serial != h.slow {
		h.slow = slow.Serial
		m.heed(now, s, slow)
	}
	for _, o := range h.row.Shares {
		if o.Process != h.process && now.Sub(h.seen[o.Process].since) < takeover {
			s.ramp.level = max(s.ramp.level, o.Level)
		}
	}
	s.limit()
	if s.quota > 0 {
		m.out = append(m.out, Held{Subject: s.name, Until: h.until})
	}
	m.again = true
}

// read takes a row for what stands in the store.
func (h *holding) read(now time.Time, row Row) {
	had := h.part
	h.row = row
	for _, o := range row.Shares {
		if was, known := h.seen[o.Process]; !known || was.serial != o.Serial {
			h.seen[o.Process] = sight{o.Serial, now}
		}
	}
	maps.DeleteFunc(h.seen, func(process string, _ sight) bool {
		return !slices.ContainsFunc(row.Shares, func(s Share) bool { return s.Process == process })
	})
	if h.doubt != nil && h.doubt.edition == row.Edition {
		return // it may still come into effect
	}
	at := h.mine(row)
	if at < 0 {
		h.part, h.until = 0, time.Time{}
	} else {
		ours := row.Shares[at]
		h.part = ours.Part
		if h.doubt != nil && ours.Serial >= h.doubt.first {
			if until := h.doubt.asked.Add(lease); until.After(h.until) {
				h.until, h.lapsed = until, false
			}
		}
	}
	h.doubt = nil
	if h.goal >= had { // it was not being lowered
		h.goal = h.part
	}
	h.goal = min(h.goal, h.part)
}

// heed obeys what the provider asked of another process.
func (m *Machine) heed(now time.Time, s *subject, slow Slow) {
	until := now.Add(slow.Left)
	if !until.After(s.governor.paused) {
		return
	}
	// If we were asked, too, that is still told: the row may have stood for a
	// while, and whoever read it sooner waits for less.
	s.governor.heed(now, until, slow, s.quota > 0)
	m.out = append(m.out, Quiet{Subject: s.name, Until: until})
}

// stop gives back what is held, when nothing leaves any more.
func (m *Machine) stop(now time.Time) {
	for _, s := range m.order {
		h := s.held
		if h == nil || h.mine(h.row) < 0 {
			continue
		}
		mine := h.row.Shares[h.mine(h.row)]
		switch h.goal = 0; {
		case mine.Gone: // it is given back
		case s.window.used(now) == 0:
			m.put(now, s, nil)
		default:
			mine.Gone = true
			m.put(now, s, &mine)
		}
	}
}
