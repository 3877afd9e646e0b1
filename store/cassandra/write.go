package cassandra

import (
	"context"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/tocsin-push/tocsin/store"
)

// Write may be repeated and speculated, also long after: what is stored under a
// higher version stays.
func (s *Store) Write(ctx context.Context, at store.Place, batch ...store.Write) (err error) {
	if err := s.enter(ctx, store.CheckBatch(at, batch)); err != nil {
		return err
	}
	began := time.Now()
	defer func() { s.leave("write", began, err) }()
	if len(batch) == 0 {
		return nil
	}
	// What an attempt sends is the same each time: caller's memory may be another's
	// while an attempt that nobody waits for any more is under way.
	values, now := make([][]any, len(batch)), s.config.Now()
	for i, w := range batch {
		var cell []byte // null: a deletion
		seconds := 0
		if !w.Delete && live(w.Expires, now) {
			cell, seconds = plainCell(w), ttl(w.Expires, now)
		}
		values[i] = []any{timestamp(w.Version), seconds, cell, at.Table, []byte(at.Partition), []byte(w.Key)}
	}
	return failed("write", at, s.insist(ctx, repeatable, func() error {
		if len(values) == 1 {
			return s.session.Query(s.cql.write, values[0]...).Idempotent(true).SetSpeculativeExecutionPolicy(s.elsewhere).ExecContext(ctx)
		}
		b := s.session.Batch(gocql.UnloggedBatch).SpeculativeExecutionPolicy(s.elsewhere)
		for _, v := range values {
			b.Entries = append(b.Entries, gocql.BatchEntry{Stmt: s.cql.write, Args: v, Idempotent: true})
		}
		return b.ExecContext(ctx)
	}))
}
