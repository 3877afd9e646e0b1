package cassandra

import (
	"context"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// PutIf is attempted once: when no answer comes it may still be decided, until
// the nodes that have it give up (cas_contention_timeout, 1.8 s by default).
func (s *Store) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (ok bool, now store.Row, err error) {
	if err := s.enter(ctx, store.CheckRow(at, key, value)); err != nil {
		return false, now, err
	}
	began := time.Now()
	defer func() { s.leave("put_if", began, err) }()
	ok, now, err = s.putIf(ctx, at, key, old, value, expires)
	return ok, now, failed("conditional put", at, err)
}

func (s *Store) putIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	now := s.config.Now()
	var cell []byte    // null: a deletion
	var instant *int64 // null with it
	seconds := 0
	if value != nil && live(expires, now) {
		n := nanos(expires)
		cell, instant, seconds = append([]byte{}, value...), &n, ttl(expires, now)
	}
	set := []any{seconds, cell, instant, at.Table, []byte(at.Partition), []byte(key)}
	if old != nil {
		// A present row is compared without its expiry, which the caller need not know.
		return s.put(ctx, key, now, s.cql.putOld, append(set, append([]byte{}, old...), now.UnixNano())...)
	}
	for {
		ok, row, err := s.put(ctx, key, now, s.cql.putNew, set...)
		if ok || err != nil || row.Key != "" {
			return ok, row, err
		}
		// A row that has expired is there until the database drops it. Whoever finds
		// that it is not there any more begins anew.
		if ok, _, err = s.put(ctx, key, now, s.cql.putExpired, append(set[:len(set):len(set)], now.UnixNano())...); ok || err != nil {
			return ok, store.Row{}, err
		}
		if err := ctx.Err(); err != nil {
			return false, store.Row{}, err
		}
	}
}

// put makes one conditional update, and returns the live row that stood in its
// way, as far as the statement names its columns.
func (s *Store) put(ctx context.Context, key string, now time.Time, cql string, values ...any) (ok bool, row store.Row, err error) {
	var there map[string]any
	err = s.insist(ctx, unsent, func() (err error) {
		there = map[string]any{}
		ok, err = s.session.Query(cql, values...).MapScanCASContext(ctx, there)
		return err
	})
	if err != nil {
		if sure(err) || unsent(err) {
			return false, row, err
		}
		s.doubtful.Inc()
		return false, row, fmt.Errorf("%w: %w", store.ErrAmbiguous, err)
	}
	if expires, present := there["expires"].(int64); !ok && present {
		value, _ := there["put"].([]byte)
		c := cells{put: value, expires: &expires}
		row, _, err = c.row(key, now)
	}
	return ok, row, err
}
