package cassandra

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin/store"
)

func quick() Config {
	c := Default()
	c.Hosts, c.Log, c.Metrics = []string{"127.0.0.1"}, slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	return c
}

func TestValidate(t *testing.T) {
	if err := quick().Validate(); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Config){
		"no host":           func(c *Config) { c.Hosts = nil },
		"quoted keyspace":   func(c *Config) { c.Keyspace = `a"; DROP` },
		"user alone":        func(c *Config) { c.User = "tocsin" },
		"no timeout":        func(c *Config) { c.Timeout = 0 },
		"long patience":     func(c *Config) { c.Patience = time.Hour },
		"early speculation": func(c *Config) { c.Speculate = time.Millisecond },
		"no clock":          func(c *Config) { c.Now = nil },
	} {
		c := quick()
		if change(&c); c.Validate() == nil {
			t.Errorf("%s was accepted", what)
		}
	}
	c := quick()
	c.Hosts = []string{"127.0.0.1:port"}
	if _, err := connect(c); err == nil {
		t.Error("a port that is no number was accepted")
	}
}

// What may be repeated is until patience ends; what was refused is not.
func TestInsist(t *testing.T) {
	c := quick()
	c.Patience = 50 * time.Millisecond
	s := &Store{config: c, repeated: prometheus.NewCounter(prometheus.CounterOpts{})}
	calls := 0
	fail := func(err error) func() error { return func() error { calls++; return err } }
	if err := s.insist(t.Context(), repeatable, fail(gocql.ErrNoConnections)); !errors.Is(err, gocql.ErrNoConnections) || calls < 2 {
		t.Errorf("no node: %d calls, %v", calls, err)
	}
	calls = 0
	full := &refusal{"Write request failed because disk usage exceeds failure threshold"}
	if err := s.insist(t.Context(), repeatable, fail(full)); !errors.Is(err, store.ErrFull) || calls != 1 {
		t.Errorf("full disk: %d calls, %v", calls, err)
	}
	calls = 0
	if err := s.insist(t.Context(), unsent, fail(gocql.ErrTimeoutNoResponse)); err == nil || calls != 1 {
		t.Errorf("no answer to a conditional put: %d calls, %v", calls, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	calls = 0
	if err := s.insist(ctx, repeatable, fail(fmt.Errorf("%w", ctx.Err()))); !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("nobody waits: %d calls, %v", calls, err)
	}
	if err := s.insist(t.Context(), repeatable, fail(gocql.ErrSessionClosed)); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// refusal is what a node says of a statement that it does not take.
type refusal struct{ text string }

func (r *refusal) Code() int       { return gocql.ErrCodeInvalid }
func (r *refusal) Message() string { return r.text }
func (r *refusal) Error() string   { return r.text }
