package cassandra

import (
	"context"
	"fmt"
	"sync"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin/store"
)

// Store is a session with the cluster.
type Store struct {
	config    Config
	session   *gocql.Session
	cql       statements
	elsewhere gocql.SpeculativeExecutionPolicy

	// Every call holds calls for reading. closed is written under calls.
	calls  sync.RWMutex
	closed bool

	seconds  *prometheus.HistogramVec
	repeated prometheus.Counter
	doubtful prometheus.Counter
}

var _ store.Store = (*Store)(nil)

// Open connects, and refuses a keyspace that Prepare has not made, or that does
// not keep what was acknowledged any more.
func Open(ctx context.Context, c Config) (*Store, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	session, err := connect(c)
	if err != nil {
		return nil, err
	}
	if err := check(ctx, session, c); err != nil {
		session.Close()
		return nil, err
	}
	s := &Store{config: c, session: session, cql: statementsOf(c.Keyspace),
		elsewhere: &gocql.SimpleSpeculativeExecution{NumAttempts: 1, TimeoutDelay: c.Speculate},
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "tocsin_store_seconds", Help: "Time of a call of the store.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}, []string{"call", "outcome"}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{Name: "tocsin_store_repeated_total", Help: "Calls of the store that were made again."}),
		doubtful: prometheus.NewCounter(prometheus.CounterOpts{Name: "tocsin_store_ambiguous_total", Help: "Conditional puts whose outcome is not known."}),
	}
	for _, m := range []prometheus.Collector{s.seconds, s.repeated, s.doubtful} {
		if err := c.Metrics.Register(m); err != nil {
			session.Close()
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	return s, nil
}

// statements are all that is asked of the database.
type statements struct {
	get, scan, scanTo, write, putNew, putExpired, putOld string
}

func statementsOf(keyspace string) statements {
	const (
		row   = " WHERE table_name = ? AND partition = ? AND key = ?"
		cells = "SELECT key, plain, writetime(plain), put, expires FROM %s.rows WHERE table_name = ? AND partition = ? AND key "
		put   = "UPDATE %s.rows USING TTL ? SET put = ?, expires = ?" + row + " IF "
	)
	in := func(cql string) string { return fmt.Sprintf(cql, keyspace) }
	return statements{
		get:        in(cells + "= ?"),
		scan:       in(cells + ">= ? LIMIT ?"),
		scanTo:     in(cells + ">= ? AND key < ? LIMIT ?"),
		write:      in("UPDATE %s.rows USING TIMESTAMP ? AND TTL ? SET plain = ?" + row),
		putNew:     in(put + "expires = null AND put = null"),
		putExpired: in(put + "expires <= ?"),
		putOld:     in(put + "put = ? AND expires > ?"),
	}
}

// enter begins a call; the caller ends it with what it returned. On an error it
// has ended.
func (s *Store) enter(ctx context.Context, checked error) error {
	if checked != nil {
		return checked
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.calls.RLock()
	if s.closed {
		s.calls.RUnlock()
		return store.ErrClosed
	}
	return nil
}

// leave ends a call and notes how it went.
func (s *Store) leave(call string, began time.Time, err error) {
	outcome := "ok"
	if err != nil && err != store.ErrNotFound {
		outcome = "error"
	}
	s.seconds.WithLabelValues(call, outcome).Observe(time.Since(began).Seconds())
	s.calls.RUnlock()
}

func failed(what string, at store.Place, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("store: %s of table %s: %w", what, at.Table, err)
}

func (s *Store) Close() error {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed = true
	s.session.Close()
	for _, m := range []prometheus.Collector{s.seconds, s.repeated, s.doubtful} {
		s.config.Metrics.Unregister(m)
	}
	return nil
}
