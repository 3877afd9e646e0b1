package webpush

import (
	"context"
	"fmt"
	"testing"

	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
)

// batch is n messages, and the channel on which it comes back.
func (f *fixture) batch(s *providertest.Server, n int) (*provider.Batch, chan struct{}) {
	came := make(chan struct{})
	b := &provider.Batch{Done: func(*provider.Batch) { close(came) }}
	for i := range n {
		b.Addresses = append(b.Addresses, f.address(s, fmt.Sprint("/wp/", i)))
		b.Payloads = append(b.Payloads, []byte("text"))
	}
	return b, came
}

func all(b *provider.Batch, want provider.Result) bool {
	for _, r := range b.Results {
		if r != want {
			return false
		}
	}
	return len(b.Results) == len(b.Addresses)
}

// A batch for whose bodies there is no room waits, comes back unsent when it is
// stopped, and goes on when the one ahead of it has its answers.
func TestBodiesAreBounded(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Bodies = 1 })
	s := providertest.NewServer(t, reply(201, ""))
	l := f.lane(s)
	s.Hold(true)
	first, firstCame := f.batch(s, 90)
	second, secondCame := f.batch(s, 10)
	third, thirdCame := f.batch(s, 10)
	for _, b := range []*provider.Batch{first, second, third} {
		l.Send(b)
	}
	s.Await(90)
	second.Stop.Store(true)
	<-secondCame
	if !all(second, provider.Unsent) {
		t.Errorf("results %v of what was stopped", second.Results)
	}
	select {
	case <-thirdCame:
		t.Error("a batch beyond the limit is done")
	default:
	}
	s.Hold(false)
	<-firstCame
	<-thirdCame
	if !all(first, provider.Accepted) || !all(third, provider.Accepted) || len(s.Requests()) != 100 {
		t.Errorf("results %v and %v, %d requests", first.Results, third.Results, len(s.Requests()))
	}
	if f.provider.encrypter.held != 0 {
		t.Errorf("%d bytes held at the end", f.provider.encrypter.held)
	}
}

// What waits for room when the lane closes comes back unsent.
func TestCloseGivesBackWhatWaits(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Bodies = 1 })
	s := providertest.NewServer(t, reply(201, ""))
	l := f.lane(s)
	s.Hold(true)
	first, firstCame := f.batch(s, 10)
	second, secondCame := f.batch(s, 10)
	l.Send(first)
	l.Send(second)
	s.Await(10)
	closed := make(chan error)
	go func() { closed <- l.Close(context.Background()) }()
	<-secondCame
	s.Hold(false)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	select {
	case <-firstCame:
	default:
		t.Error("Close returned before Done")
	}
	if !all(first, provider.Accepted) || !all(second, provider.Unsent) {
		t.Errorf("results %v and %v", first.Results, second.Results)
	}
}

// Lanes take turns; strangers get one in four as long as others have work.
func TestTurns(t *testing.T) {
	e := newEncrypter(1 << 20)
	e.workers = 0
	names := map[*line]string{}
	lines := map[string]*line{}
	for _, name := range []string{"a", "b", "x", "y"} {
		x := newLine(e, &lane{stranger: name >= "x"})
		x.jobs = []*job{{}}
		names[x], lines[name] = name, x
	}
	for _, name := range []string{"x", "y", "a", "b"} {
		e.queue(lines[name])
	}
	order := ""
	for range 12 {
		x := e.next()
		order += names[x]
		e.queue(x)
	}
	if order != "abaxbabyabax" {
		t.Errorf("turns %s", order)
	}
	for _, name := range []string{"a", "b"} {
		lines[name].jobs = nil
	}
	order = ""
	for range 6 {
		x := e.next()
		order += names[x]
		e.queue(x)
	}
	if order != "bayxyx" {
		t.Errorf("turns %s when strangers are alone", order)
	}
}

// What waits for room when the credential is refused is not tried with it.
func TestRefusalHaltsWhatWaits(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Bodies = 1 })
	s := providertest.NewServer(t, reply(403, ""))
	l := f.lane(s)
	s.Hold(true)
	first, firstCame := f.batch(s, 1)
	l.Send(first)
	s.Await(1)
	behind, behindCame := f.batch(s, 1)
	l.Send(behind)
	s.Hold(false)
	<-firstCame
	<-behindCame
	if !all(first, provider.Fault) || !all(behind, provider.Unsent) || len(s.Requests()) != 1 {
		t.Errorf("results %v and %v, %d requests", first.Results, behind.Results, len(s.Requests()))
	}
	// The next one is a probe.
	s.Answer(reply(201, ""))
	probe, came := f.batch(s, 1)
	l.Send(probe)
	<-came
	if !all(probe, provider.Accepted) {
		t.Errorf("results %v of a probe", probe.Results)
	}
}
