package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/disk"
	"github.com/tocsin-push/tocsin/store/disk/folder/crashtest"
)

func TestPowerLoss(t *testing.T)    { crashtest.PowerLoss(t, newScript(40)) }
func TestFailures(t *testing.T)     { crashtest.Failures(t, newScript(12)) }
func TestFailingStart(t *testing.T) { crashtest.FailingStart(t, newScript(4)) }
func TestFlippedBytes(t *testing.T) { crashtest.FlippedBytes(t, newScript(40)) }
func TestTornTails(t *testing.T)    { crashtest.TornTails(t, newScript(40)) }

// extent is what is known of a partition: records first <= p < end.
type extent struct{ first, end journal.Position }

// script appends to and trims two partitions. The record at each position is a
// function of partition and position alone.
type script struct {
	rounds int
	mu     sync.Mutex
	acked  map[journal.Partition]extent
}

var scripted = []journal.Partition{{Topic: journal.Ledger, Shard: 0}, {Topic: journal.Changes, Shard: 7}}

func newScript(rounds int) func() crashtest.Engine {
	return func() crashtest.Engine {
		s := &script{rounds: rounds, acked: make(map[journal.Partition]extent)}
		for _, p := range scripted {
			s.acked[p] = extent{1, 1}
		}
		return s
	}
}

func content(p journal.Partition, at journal.Position) []byte {
	line := fmt.Appendf(nil, "%s at %d; ", p, at)
	return bytes.Repeat(line, int(at)%7*int(at)%13*25)
}

func (s *script) config(fs vfs.FS, stop func(error)) disk.Config {
	c := disk.Default()
	c.Memory, c.Tail, c.FS, c.Stop = 64<<10, 4<<10, fs, stop
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

func (s *script) Acknowledged() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[journal.Partition]extent)
	for p, e := range s.acked {
		all[p] = e
	}
	return all
}

func (s *script) Play(fs vfs.FS, stop func(error), played func()) (err error) {
	j, err := disk.Open("/data/journal", s.config(fs, stop))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	for round := range s.rounds {
		for i, p := range scripted {
			e := s.acked[p]
			var batch [][]byte
			for n := range 1 + (round+i)%3 {
				batch = append(batch, content(p, e.end+journal.Position(n)))
			}
			if _, err := j.Append(context.Background(), p, batch...); err != nil {
				return err
			}
			e.end += journal.Position(len(batch))
			s.acknowledge(p, e)
			if round%8 == 7 {
				e.first = e.end - journal.Position(round%9)
				if err := j.Trim(context.Background(), p, e.first); err != nil {
					return err
				}
				s.acknowledge(p, e)
			}
		}
	}
	played()
	return nil
}

func (s *script) acknowledge(p journal.Partition, e extent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.acked[p] = e
}

// Check allows more than was acknowledged: the append or trim under way.
func (s *script) Check(fs vfs.FS, acknowledged any, stop func(error)) (err error) {
	ctx := context.Background()
	j, err := disk.Open("/data/journal", s.config(fs, stop))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	for p, acked := range acknowledged.(map[journal.Partition]extent) {
		first, err1 := j.First(ctx, p)
		end, err2 := j.End(ctx, p)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		if end < acked.end || end > acked.end+3 || first < acked.first || first > end {
			return crashtest.Wrong("%s holds %d to %d, acknowledged was %+v", p, first, end, acked)
		}
		for at := first; at < end; {
			records, next, err := j.Read(ctx, p, at, 100<<10)
			if err != nil {
				return err
			}
			for _, r := range records {
				if r.Position != at || !bytes.Equal(r.Data, content(p, at)) {
					return crashtest.Wrong("%s: at %d stands %d %.30q", p, at, r.Position, r.Data)
				}
				at++
			}
			if next != at {
				return crashtest.Wrong("%s: next is %d after %d", p, next, at)
			}
		}
	}
	return nil
}
