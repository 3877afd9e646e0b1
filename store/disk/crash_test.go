package disk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/disk/folder/crashtest"
)

func TestPowerLoss(t *testing.T)    { crashtest.PowerLoss(t, newScript(60)) }
func TestFailures(t *testing.T)     { crashtest.Failures(t, newScript(20)) }
func TestFailingStart(t *testing.T) { crashtest.FailingStart(t, newScript(8)) }
func TestFlippedBytes(t *testing.T) { crashtest.FlippedBytes(t, newScript(60)) }
func TestTornTails(t *testing.T)    { crashtest.TornTails(t, newScript(60)) }

// script writes pairs of rows in one batch, deletes every fifth version of a
// pair, and counts up one conditional row. A row is a function of key and
// version alone.
type script struct {
	rounds int
	mu     sync.Mutex
	acked  state
}

const pairs = 8

// state is what is known: the version of each pair, 0 for none, and the count.
type state struct {
	versions [pairs]uint64
	count    uint64
}

var (
	scripted = store.Place{Table: "script", Partition: "p"}
	counter  = store.Place{Table: "count"}
)

func newScript(rounds int) func() crashtest.Engine {
	return func() crashtest.Engine { return &script{rounds: rounds} }
}

func value(key string, version uint64) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%s at %d; ", key, version), int(version)*37%11*40))
}

func removed(version uint64) bool { return version%5 == 0 }

func countText(n uint64) []byte {
	if n == 0 {
		return nil
	}
	return fmt.Appendf(nil, "%d", n)
}

func (s *script) Acknowledged() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.acked
}

func (s *script) acknowledge(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.acked)
}

func (s *script) open(fs vfs.FS, stop func(error)) (*Store, error) {
	c := quick(fs, newClock())
	c.Stop = stop
	return Open("/data/store", c)
}

func (s *script) Play(fs vfs.FS, stop func(error), played func()) (err error) {
	engine, err := s.open(fs, stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	ctx := context.Background()
	for round := range s.rounds {
		pair, version := round*3%pairs, uint64(round+1)
		var batch []store.Write
		for _, half := range []string{"a", "b"} {
			key := fmt.Sprintf("%d%s", pair, half)
			batch = append(batch, store.Write{Key: key, Value: value(key, version), Version: version, Delete: removed(version)})
		}
		if err := engine.Write(ctx, scripted, batch...); err != nil {
			return err
		}
		s.acknowledge(func(a *state) { a.versions[pair] = version })
		if round%4 == 3 {
			n := uint64(round / 4)
			ok, now, err := engine.PutIf(ctx, counter, "n", countText(n), countText(n+1), time.Time{})
			if err != nil {
				return err
			}
			if !ok {
				return crashtest.Wrong("the counter is %q instead of %d", now.Value, n)
			}
			s.acknowledge(func(a *state) { a.count = n + 1 })
		}
	}
	played()
	return nil
}

// Check allows more than was acknowledged: the write under way.
func (s *script) Check(fs vfs.FS, acknowledged any, stop func(error)) (err error) {
	engine, err := s.open(fs, stop)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	ctx, acked := context.Background(), acknowledged.(state)
	row, err := engine.GetLatest(ctx, counter, "n")
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if string(row.Value) != string(countText(acked.count)) && string(row.Value) != string(countText(acked.count+1)) {
		return crashtest.Wrong("the counter is %q, acknowledged was %d", row.Value, acked.count)
	}
	rows, err := engine.Scan(ctx, scripted, "", "", 100)
	if err != nil {
		return err
	}
	stored := make(map[string]store.Row)
	for _, r := range rows {
		if string(r.Value) != string(value(r.Key, r.Version)) || removed(r.Version) {
			return crashtest.Wrong("row %q at %d is %.30q", r.Key, r.Version, r.Value)
		}
		stored[r.Key] = r
	}
	ahead := 0
	for pair, version := range acked.versions {
		a, b := stored[fmt.Sprintf("%da", pair)], stored[fmt.Sprintf("%db", pair)]
		if a.Version != b.Version {
			return crashtest.Wrong("pair %d was stored in part: %d and %d", pair, a.Version, b.Version)
		}
		// A pair that is absent is right when its version, or the one under way, deletes it.
		underway := a.Version == version+pairs || version == 0 && a.Version > 0 || a.Version == 0 && version > 0 && removed(version+pairs)
		if gone := a.Version == 0 && (version == 0 || removed(version)); a.Version != version && !gone {
			if ahead++; !underway || ahead > 1 {
				return crashtest.Wrong("pair %d is at version %d, acknowledged was %d", pair, a.Version, version)
			}
		}
	}
	return nil
}
