package crashtest

import (
	"context"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/store"
)

// Store puts a failpoint before and after each batch and conditional put.
func Store(s store.Store) store.Store { return &storePoints{s, Process} }

type storePoints struct {
	store.Store
	points *Points
}

func (s *storePoints) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	var rows []string
	for _, w := range batch {
		rows = append(rows, rowOf(w.Key))
	}
	return s.points.around("store: "+at.Table+": write ", rows, func() error { return s.Store.Write(ctx, at, batch...) })
}

// PutIf calls the first put of a row, its replacement and its deletion
// different steps: an idempotency key is put, and replaced by who goes on for
// the request that put it.
func (s *storePoints) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (ok bool, now store.Row, err error) {
	step := "replace"
	switch {
	case value == nil:
		step = "delete"
	case old == nil:
		step = "put"
	}
	err = s.points.around("store: "+at.Table+": ", []string{step}, func() error {
		ok, now, err = s.Store.PutIf(ctx, at, key, old, value, expires)
		return err
	})
	return ok, now, err
}

// rowOf is what kind of row a key names: its first word, when it is one.
func rowOf(key string) string {
	word, _, _ := strings.Cut(key, "/")
	for _, c := range word {
		if c < 'a' || c > 'z' {
			return "row"
		}
	}
	return word
}
