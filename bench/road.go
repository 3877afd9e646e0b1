package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// RoadRun is one send over the whole road. Times are milliseconds since the
// send was due, which is when the API accepted it.
type RoadRun struct {
	Side
	Drift     client.Drift `json:"drift"`    // as the API tells it
	Answered  float64      `json:"answered"` // the 202 was here
	FirstSeen float64      `json:"first_seen"`
	LastSeen  float64      `json:"last_seen"` // read by the simulator; the rate is up to here
	Finished  float64      `json:"finished"`  // the API says that every push has its outcome
	Memory    uint64       `json:"memory"`    // greatest resident size of the node meanwhile, bytes
}

// measure sends to the first people of the audience and compares the account
// with the simulator's. The send is urgent: no ramp holds it back.
func (n *newsroom) measure(ctx context.Context, message client.Message, size int) (run RoadRun, err error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	t := n.town
	if err := t.sim.reset(ctx); err != nil {
		return run, err
	}
	if err := resetPeak(t.pid); err != nil {
		return run, err
	}
	work, err := startWork(t.pid, t.sim.pid)
	if err != nil {
		return run, err
	}
	made, err := n.api.Send(ctx, client.SendRequest{Class: tocsin.Urgent, Target: n.everybody(size), Message: message}, "")
	if err != nil {
		return run, err
	}
	answered := time.Now()
	last, err := n.ended(ctx, made.ID)
	if err != nil {
		return run, err
	}
	side, err := work.side(size, time.Since(answered))
	if err != nil {
		return run, err
	}
	if run.Memory, err = peakMemory(t.pid); err != nil {
		return run, err
	}
	theirs, err := t.sim.arrived(ctx, n.people.provider, size)
	if err != nil {
		return run, err
	}
	if err := balanced(last, size); err != nil {
		return run, err
	}
	since := func(t time.Time) float64 { return float64(t.Sub(last.DueAt).Microseconds()) / 1000 }
	run.Drift, run.Answered, run.FirstSeen, run.LastSeen, run.Finished = *last.Drift, since(answered), since(*theirs.First), since(*theirs.Last), since(last.FinishedAt)
	side.Rate = float64(size) / max(theirs.Last.Sub(answered).Seconds(), 1e-6)
	run.Side = side
	return run, nil
}

// everybody targets the first people of the audience.
func (n *newsroom) everybody(size int) client.Target {
	return client.Target{Query: json.RawMessage(n.people.target(size))}
}

// balanced checks that all were accepted, once, and that nothing is open.
func balanced(s *client.Send, recipients int) error {
	c := s.Counters
	if s.Status != client.SendFinished || c == nil || s.Drift == nil {
		return fmt.Errorf("send is %s, not finished with its figures", s.Status)
	}
	if n := int64(recipients); c.Audience != n || c.Accepted != n || c.Doubtful != 0 {
		return fmt.Errorf("want %d accepted: audience %d, accepted %d, refused %d, gone %d, in doubt %d, doubtful %d, pending %d",
			n, c.Audience, c.Accepted, c.Refused, c.Gone, c.InDoubt, c.Doubtful, c.Pending)
	}
	return nil
}

// news says the same to everybody, personal calls each by name.
var (
	news     = alert(pushTitle)
	personal = alert(`{{ first_name | default: "Dear reader" }}, polls close in an hour`)
)

func alert(title string) client.Message {
	return client.Message{Sound: "default", Languages: map[string]client.Content{"en": {Title: title, Body: pushBody}}}
}
