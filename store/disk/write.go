package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/tocsin-push/tocsin/store"
)

func (s *Store) Write(ctx context.Context, at store.Place, batch ...store.Write) error {
	if err := s.enter(ctx, store.CheckBatch(at, batch)); err != nil {
		return err
	}
	defer s.calls.RUnlock()
	if err := s.full(saving); err != nil {
		return failed("write", at, err)
	}
	b := s.folder.DB.NewBatch()
	if err := s.apply(b, at, batch); err != nil {
		return failed("write", at, errors.Join(err, b.Close()))
	}
	return failed("write", at, s.folder.Wait(b))
}

// apply holds the place from reading the versions until the batch is visible.
// Also a batch that changes nothing is synced: what it repeats may not be yet.
func (s *Store) apply(b *pebble.Batch, at store.Place, batch []store.Write) error {
	lock := s.place(prefix(at, 0))
	lock.Lock()
	defer lock.Unlock()
	now := s.now()
	written := make(map[string]uint64, len(batch)) // versions in this batch
	for _, w := range batch {
		key := rowKey(at, w.Key)
		version, ok := written[w.Key]
		if !ok {
			old, present, err := s.get(key)
			if err != nil {
				return err
			}
			if present && old.kind == conditional && old.live(now) {
				return fmt.Errorf("row %.80q is written by conditional puts only", w.Key)
			}
			version = old.version
		}
		if w.Version <= version {
			continue
		}
		written[w.Key] = w.Version
		r := row{kind: plain, version: w.Version, instant: w.Expires, value: w.Value}
		if w.Delete {
			r = row{kind: deleted, version: w.Version, instant: now}
		}
		if err := set(b, key, r); err != nil {
			return err
		}
	}
	if b.Empty() {
		if err := b.LogData(nil, nil); err != nil {
			return err
		}
	}
	return s.folder.Apply(b)
}

// set puts a row into a batch, and into the index when it can be forgotten one day.
func set(b *pebble.Batch, key []byte, r row) error {
	if err := b.Set(key, r.encode(), nil); err != nil {
		return err
	}
	if forget := r.forget(); !forget.IsZero() {
		return b.Set(indexKey(forget, key), nil, nil)
	}
	return nil
}

func (s *Store) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	if err := s.enter(ctx, store.CheckRow(at, key, value)); err != nil {
		return false, store.Row{}, err
	}
	defer s.calls.RUnlock()
	if err := s.full(asking); err != nil {
		return false, store.Row{}, failed("conditional put", at, err)
	}
	ok, now, err := s.putIf(at, key, old, value, expires)
	return ok, now, failed("conditional put", at, err)
}

func (s *Store) putIf(at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	k := rowKey(at, key)
	lock := s.row(k)
	lock.Lock()
	defer lock.Unlock()
	r, present, err := s.get(k)
	if err != nil {
		return false, store.Row{}, err
	}
	if present && r.kind != conditional {
		return false, store.Row{}, fmt.Errorf("row %.80q is written by plain writes only", key)
	}
	present = present && r.live(s.now())
	switch {
	case !present && old != nil:
		return false, store.Row{}, nil
	case present && (old == nil || !bytes.Equal(r.value, old)):
		return false, r.public(key), nil
	}
	b := s.folder.DB.NewBatch()
	if value == nil {
		err = b.Delete(k, nil)
	} else {
		err = set(b, k, row{kind: conditional, instant: expires, value: value})
	}
	if err == nil {
		err = s.folder.Apply(b)
	}
	if err != nil {
		return false, store.Row{}, errors.Join(err, b.Close())
	}
	return true, store.Row{}, s.folder.Wait(b)
}
