package disk

import (
	"bytes"
	"errors"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// sweepStep bounds the index entries that are read at once.
const sweepStep = 1000

// sweeper removes what may be forgotten until the store closes.
func (s *Store) sweeper(every time.Duration, log *slog.Logger) {
	defer close(s.swept)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-tick.C:
		}
		for more := true; more; {
			select {
			case <-s.done:
				return
			default:
			}
			n, err := s.sweep()
			if err != nil {
				log.Error("store: removing old rows failed, the next pass tries again", "error", err)
			}
			more = err == nil && n == sweepStep
		}
	}
}

// sweep looks at the index entries that are due, at most sweepStep, and returns
// how many there were. Nothing waits for its sync: what a crash brings back is
// swept again. It is not refused on a full disk: it makes room.
func (s *Store) sweep() (int, error) {
	now := s.now()
	due, err := s.due(now)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	for _, entry := range due {
		if err := s.forget(entry, now); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

// due lists index entries that lie at or before now.
func (s *Store) due(now time.Time) (entries [][]byte, err error) {
	rows, err := s.folder.DB.NewIter(&pebble.IterOptions{LowerBound: []byte{'x'}, UpperBound: indexKey(now.Add(1), nil)})
	if err != nil {
		return nil, s.folder.Explain(err)
	}
	for ok := rows.First(); ok && len(entries) < sweepStep; ok = rows.Next() {
		entries = append(entries, bytes.Clone(rows.Key()))
	}
	return entries, s.folder.Explain(errors.Join(rows.Error(), rows.Close()))
}

// forget removes an index entry, and its row if that is still forgettable.
func (s *Store) forget(entry []byte, now time.Time) error {
	key := entry[9:]
	plainLock, rowLock := s.place(placeOf(key)), s.row(key)
	plainLock.Lock()
	defer plainLock.Unlock()
	rowLock.Lock()
	defer rowLock.Unlock()
	r, present, err := s.get(key)
	if err != nil {
		return err
	}
	b := s.folder.DB.NewBatch()
	err = b.Delete(entry, nil)
	if at := r.forget(); err == nil && present && !at.IsZero() && !now.Before(at) {
		err = b.Delete(key, nil)
	}
	if err == nil {
		err = s.folder.DB.Apply(b, pebble.NoSync)
	}
	return errors.Join(err, b.Close())
}

// placeOf cuts the key bytes off a row's key in the database.
func placeOf(key []byte) []byte {
	i := bytes.IndexByte(key, 0) + 1
	return key[:i+2+int(key[i])<<8+int(key[i+1])]
}
