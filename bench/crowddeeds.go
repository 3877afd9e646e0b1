package main

import (
	"math"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
)

// deed is an event of somebody of a crowd: read has a section, bought an amount
// and a currency, opened nothing.
type deed struct {
	name     string
	at       int64
	section  string
	amount   float64
	currency string
}

var deedNames = [...]string{"read", "opened", "bought"}

var (
	sections   = skewed(40, 0.8, func(n int) string { return "section-" + word(n) })
	currencies = skewed(5, 1.5, func(n int) string { return [...]string{"USD", "INR", "EUR", "GBP", "BRL"}[n] })
)

// deedDays are those of which something is told, with the last one, which is not
// over: so far back fields of events are kept.
const deedDays = 30

// firstDay is the midnight, in UTC, with which they begin.
func (c *crowd) firstDay() int64 { return c.now.Unix()/day*day - (deedDays-1)*day }

// deeds appends what the person did who is first met as the n-th of the crowd: most
// do little and few much, nobody anything after the last time that he was seen.
func (c *crowd) deeds(n int, p *person, to []deed) []deed {
	c.meet(n, p)
	if p.user >= 0 && p.user != n {
		return to // the person of the one before
	}
	d := dice(mix(c.seed ^ mix(uint64(n)^0xd33d)))
	activity := d.unit()
	share := 0.7 * activity * activity * activity // of the days
	for start := c.firstDay(); start <= p.active; start += day {
		if d.unit() >= share {
			continue
		}
		sometime := func() int64 { return min(start+int64(day*d.unit()), p.active) }
		for range 1 + int(0.9*d.exponential()) {
			to = append(to, deed{name: "read", at: sometime(), section: sections.at(&d)})
		}
		if d.unit() < 0.4 {
			to = append(to, deed{name: "opened", at: sometime()})
		}
		if d.unit() < 0.04 {
			to = append(to, deed{name: "bought", at: sometime(), amount: math.Round(2000*math.Exp(d.normal())) / 100, currency: currencies.at(&d)})
		}
	}
	return to
}

// doer is the number under which the tables keep whose events count for somebody:
// those of a person count on all his devices.
func (p *person) doer() int {
	if p.user >= 0 {
		return p.user
	}
	return p.number
}

// chosen is the identifier that a subscription is given that is nobody's, so that
// its events can name it.
func (p *person) chosen() (id tocsin.SubscriptionID) {
	var entropy [10]byte
	for i := range entropy {
		entropy[i] = byte(mix(p.token^uint64(i/8)) >> (i % 8 * 8))
	}
	return tocsin.MakeID[tocsin.SubscriptionID](time.Unix(1_700_000_000, int64(p.number)*1000), entropy)
}

// appendLine appends the event as a line of an import.
func (e *deed) appendLine(b []byte, p *person) []byte {
	b = append(b, '{')
	if p.user >= 0 {
		b = append(strconv.AppendInt(append(b, `"user":"reader-`...), int64(p.user), 10), `","name":"`...)
	} else {
		b, _ = p.chosen().AppendText(append(b, `"subscription":"`...))
		b = append(b, `","name":"`...)
	}
	b = appendTime(append(append(b, e.name...), `","time":"`...), e.at)
	switch e.name {
	case "read":
		b = append(append(append(b, `","fields":{"section":"`...), e.section...), "\"}}\n"...)
	case "bought":
		b = appendReal(append(b, `","fields":{"amount":`...), e.amount)
		b = append(append(append(b, `,"currency":"`...), e.currency...), "\"}}\n"...)
	default:
		b = append(b, "\"}\n"...)
	}
	return b
}

// appendRow appends the event as the peers load it.
func (e *deed) appendRow(b []byte, p *person) []byte {
	b = strconv.AppendInt(b, int64(p.doer()), 10)
	b = strconv.AppendInt(append(append(append(b, '\t'), e.name...), '\t'), e.at, 10)
	b = append(append(b, '\t'), e.section...)
	b = strconv.AppendFloat(append(b, '\t'), e.amount, 'f', -1, 64)
	return append(append(append(b, '\t'), e.currency...), '\n')
}
