package cassandra

import (
	"context"
	"time"

	gocql "github.com/apache/cassandra-gocql-driver/v2"

	"github.com/tocsin-push/tocsin/store"
)

func (s *Store) Get(ctx context.Context, at store.Place, key string) (store.Row, error) {
	return s.get(ctx, "get", gocql.Quorum, at, key)
}

// GetLatest ends conditional puts of the row that are under way, one way or the
// other.
func (s *Store) GetLatest(ctx context.Context, at store.Place, key string) (store.Row, error) {
	return s.get(ctx, "get_latest", gocql.Serial, at, key)
}

func (s *Store) get(ctx context.Context, call string, level gocql.Consistency, at store.Place, key string) (r store.Row, err error) {
	if err := s.enter(ctx, store.CheckRow(at, key, nil)); err != nil {
		return r, err
	}
	began := time.Now()
	defer func() { s.leave(call, began, err) }()
	found, err := s.read(ctx, level, s.cql.get, at.Table, []byte(at.Partition), []byte(key))
	if err != nil {
		return r, failed("read", at, err)
	}
	for _, c := range found {
		r, there, err := c.row(key, s.config.Now())
		if err != nil || there {
			return r, failed("read", at, err)
		}
	}
	return r, store.ErrNotFound
}

// read asks one page, which the statement bounds.
func (s *Store) read(ctx context.Context, level gocql.Consistency, cql string, values ...any) (found []cells, err error) {
	err = s.insist(ctx, repeatable, func() error {
		found = found[:0]
		rows := s.session.Query(cql, values...).Consistency(level).Idempotent(true).SetSpeculativeExecutionPolicy(s.elsewhere).
			PageSize(store.MaxScan).IterContext(ctx)
		for {
			var c cells
			if !rows.Scan(&c.key, &c.plain, &c.written, &c.put, &c.expires) {
				return rows.Close()
			}
			found = append(found, c)
		}
	})
	return found, err
}

// A scan is made in pieces, each a query of its own that begins behind the key
// that came last. They are as large as rows found so far let them be: a node has
// a whole piece in memory.
const (
	pieceRows  = 64
	pieceMost  = 512
	pieceBytes = 4 << 20
)

func (s *Store) Scan(ctx context.Context, at store.Place, from, to string, limit int) (rows []store.Row, err error) {
	if err := s.enter(ctx, store.CheckScan(at, limit)); err != nil {
		return nil, err
	}
	began := time.Now()
	defer func() { s.leave("scan", began, err) }()
	seen, weight := 0, 0
	for piece := pieceRows; to == "" || from < to; {
		piece = min(piece, limit-len(rows))
		cql, values := s.cql.scan, []any{at.Table, []byte(at.Partition), []byte(from)}
		if to != "" {
			cql, values = s.cql.scanTo, append(values, []byte(to))
		}
		found, err := s.read(ctx, gocql.Quorum, cql, append(values, piece)...)
		if err != nil {
			return nil, failed("scan", at, err)
		}
		now := s.config.Now()
		for _, c := range found {
			seen, weight = seen+1, weight+len(c.key)+len(c.plain)+len(c.put)
			r, there, err := c.row(string(c.key), now)
			if err != nil {
				return nil, failed("scan", at, err)
			}
			if there {
				rows = append(rows, r)
			}
		}
		if len(found) < piece || len(rows) == limit {
			break
		}
		from = string(found[len(found)-1].key) + "\x00"
		piece = min(2*piece, pieceMost, max(1, pieceBytes*seen/max(weight, 1)))
	}
	return rows, nil
}
