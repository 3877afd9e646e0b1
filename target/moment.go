package target

import (
	"strconv"
	"strings"
	"time"
)

// Anchor is what the number of a Moment counts from.
type Anchor uint8

const (
	Epoch Anchor = iota // nanoseconds since 1970
	Now                 // nanoseconds from the instant that the target is evaluated for
	Today               // days from the day of that instant in the person's own zone, and then its first instant
)

// String returns the anchor as it is written.
func (a Anchor) String() string { return [...]string{Epoch: "1970", Now: "now", Today: "today"}[a] }

// units of "now-30d", the largest first. A day is 24 hours: days of the
// calendar are what "today-30d" counts. Weeks are read and printed as days.
var units = [...]struct {
	letter byte
	nanos  int64
}{{'d', 24 * int64(time.Hour)}, {'h', int64(time.Hour)}, {'m', int64(time.Minute)}, {'s', int64(time.Second)}}

// maxOffset is how far a relative time reaches, in days.
const maxOffset = 36_600

// moment reads a time that something is compared with.
func moment(text string) (v Value, ok bool) {
	if nanos, ok := (Value{Kind: Text, Text: text}).Time(); ok {
		return Value{Kind: Moment, Integer: nanos}, true
	}
	v.Kind, v.Anchor = Moment, Now
	rest, ok := strings.CutPrefix(text, "now")
	if !ok {
		v.Anchor = Today
		rest, ok = strings.CutPrefix(text, "today")
	}
	if !ok || rest == "" {
		return v, ok
	}
	if len(rest) < 3 || rest[0] != '+' && rest[0] != '-' || rest[1] < '0' || rest[1] > '9' {
		return v, false
	}
	count, err := strconv.ParseInt(rest[:len(rest)-1], 10, 64)
	if err != nil {
		return v, false
	}
	letter, day := rest[len(rest)-1], units[0].nanos
	if letter == 'w' {
		count, letter = max(-maxOffset-1, min(count, maxOffset+1))*7, 'd'
	}
	for _, u := range units {
		if u.letter != letter || v.Anchor == Today && letter != 'd' {
			continue
		}
		if most := maxOffset * (day / u.nanos); count > most || count < -most {
			return v, false
		}
		if v.Integer = count * u.nanos; v.Anchor == Today {
			v.Integer = count
		}
		return v, true
	}
	return v, false
}

// At is the instant that a Moment means to somebody in a zone when the target
// is evaluated for now, in Unix nanoseconds. Only Today asks for the zone.
func (v Value) At(now time.Time, zone *time.Location) int64 {
	switch v.Anchor {
	case Now:
		return now.UnixNano() + v.Integer
	case Today:
		return startOfDay(now, int(v.Integer), zone).UnixNano()
	}
	return v.Integer
}

// startOfDay is the first instant of the day that lies so many days after now's
// in a zone. Where clocks are put forward over midnight the day begins at that
// change; where midnight comes twice, it begins with the first.
func startOfDay(now time.Time, days int, zone *time.Location) time.Time {
	year, month, day := now.In(zone).Date()
	midnight := time.Date(year, month, day+days, 0, 0, 0, 0, time.UTC)
	var first, low time.Time
	for i, around := range [...]time.Duration{-36 * time.Hour, 36 * time.Hour} {
		_, offset := midnight.Add(around).In(zone).Zone()
		at := midnight.Add(-time.Duration(offset) * time.Second)
		if local := at.In(zone); local.Day() == midnight.Day() && local.Hour() == 0 && local.Minute() == 0 && local.Second() == 0 &&
			(first.IsZero() || at.Before(first)) {
			first = at
		}
		if i == 0 || at.Before(low) {
			low = at
		}
	}
	if first.IsZero() { // midnight was skipped: low lies before the change
		_, first = low.In(zone).ZoneBounds()
	}
	return first
}
