package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A machine on which the wire is slower than this is too slow, or too busy, to
// judge; the round is repeated.
const leastWire = 3_000_000

// lab is everything that runs beside the harness: the wire server, and
// a town that measurements share.
type lab struct {
	dir      string
	scale    float64 // of audiences and times; below 1 nothing is judged
	peers    string  // folder with programs of databases; "": none
	wire     *wireServer
	children []*child
	at       *town // that is up

	together bool    // all is measured: within twelve minutes
	broke    float64 // rate at which single sends broke, when it was measured

	// Of the measurement under way.
	section *Section
	repeats int
	share   time.Duration // 0: none
	began   time.Time
	round   time.Time // when the last round began
}

func openLab(ctx context.Context, scale float64) (l *lab, err error) {
	dir, err := os.MkdirTemp("", "tocsin-bench-")
	if err != nil {
		return nil, err
	}
	l = &lab{dir: dir, scale: scale}
	if l.wire, err = startWireServer(ctx, dir); err != nil {
		return nil, errors.Join(err, l.close())
	}
	l.children = append(l.children, l.wire.child)
	return l, nil
}

// close stops every child, the last one first, and removes the folder.
func (l *lab) close() (err error) {
	for len(l.children) > 0 {
		err = errors.Join(err, l.end(l.children[len(l.children)-1]))
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

func (l *lab) end(c *child) error {
	l.forget(c)
	if err := c.stop(); err != nil {
		return c.failure(err)
	}
	return nil
}

// forget says that a child is stopped by whoever calls, or has been.
func (l *lab) forget(c *child) {
	l.children = slices.DeleteFunc(l.children, func(other *child) bool { return other == c })
}

// scaled is a number of people or pushes under the scale.
func (l *lab) scaled(n int) int { return max(200, int(float64(n)*l.scale)) }

// lasting is a stretch of load under the scale.
func (l *lab) lasting(d time.Duration) time.Duration {
	return max(time.Second, time.Duration(float64(d)*l.scale))
}

// run makes one measurement.
func (l *lab) run(ctx context.Context, m *measurement, repeats int) (*Section, error) {
	l.section = &Section{Name: m.name, Machine: thisMachine(l.dir), Command: "go run ./bench " + m.name}
	l.repeats, l.share, l.began = m.repeats, 0, time.Now()
	if l.together {
		l.share = m.share
	}
	if repeats > 0 {
		l.repeats, l.share = repeats, 0
		l.section.Command += fmt.Sprintf(" --repeats %d", repeats)
	}
	if l.scale != 1 {
		l.section.Command += fmt.Sprintf(" --scale %g", l.scale)
	}
	if err := m.run(ctx, l, l.section); err != nil {
		return nil, fmt.Errorf("%s: %w", m.name, err)
	}
	if l.scale < 1 { // a small town proves the command, not the figure
		for i := range l.section.Checks {
			c := &l.section.Checks[i]
			c.Bound, c.AtMost, c.Aim, c.Holds = 0, false, 0, true
		}
		l.section.Text = append(l.section.Text, "At this scale nothing is judged.")
	}
	progress("%s took %.0f s", m.name, time.Since(l.began).Seconds())
	return l.section, nil
}

// more reports whether another round is to be made after so many.
func (l *lab) more(rounds int) bool {
	now := time.Now()
	if rounds > 0 && l.share > 0 && now.Sub(l.began)+now.Sub(l.round) > l.share {
		return false // another one like the last would take too long
	}
	l.round = now
	if rounds < l.repeats {
		progress("round %d of %d", rounds+1, l.repeats)
	}
	return rounds < l.repeats
}

// shorter is for what cannot be repeated less: all takes a shorter one.
func (l *lab) shorter(d, inAll time.Duration) time.Duration {
	if l.together {
		d = inAll
	}
	return l.lasting(d)
}

// steady waits until what runs beside is idle, and makes a wire run, which
// says what the machine can do in this minute. One that is too slow is
// repeated, as often in a measurement as it has rounds; then it counts as it is.
func (l *lab) steady(ctx context.Context) (Side, error) {
	for {
		if err := l.quiet(ctx); err != nil {
			return Side{}, err
		}
		side, err := measureWire(ctx, l.wire)
		if err != nil {
			return side, l.wire.failure(err)
		}
		progress("  raw TLS           %11.0f pushes/s", side.Rate)
		switch {
		case side.Rate >= leastWire:
		case l.repeat("raw TLS under %d", leastWire):
			continue
		default:
			l.section.Unfit++
		}
		l.section.Wire = append(l.section.Wire, side.Rate)
		return side, nil
	}
}

// repeat reports whether a round may be thrown away, and counts it.
func (l *lab) repeat(why string, values ...any) bool {
	if l.section.Repeated >= l.repeats || l.scale < 1 {
		return false
	}
	l.section.Repeated++
	progress("  too slow to judge ("+why+"): once more", values...)
	return true
}

// quiet waits until what an earlier run left to do is done.
func (l *lab) quiet(ctx context.Context) error {
	const (
		look  = 250 * time.Millisecond
		idle  = 0.05 // of one core, each
		limit = time.Minute
	)
	before := map[*child]time.Duration{}
	for begin := time.Now(); time.Since(begin) < limit; {
		busy := false
		for _, c := range l.children {
			now, err := cpuTime(c.pid)
			if err != nil {
				return c.failure(err)
			}
			last, known := before[c]
			busy = busy || !known || (now-last).Seconds() > idle*look.Seconds()
			before[c] = now
		}
		if !busy {
			return nil
		}
		if err := pause(ctx, look); err != nil {
			return err
		}
	}
	progress("  not idle after %v: measured as it is", limit)
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func progress(format string, values ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
}
