package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tocsin-push/tocsin/record"
)

// Entry is one decoded record and where it stands.
type Entry struct {
	Position uint64
	Envelope *record.Envelope
}

// Decode decodes what was read of a partition. Its error names the record.
func Decode(p Partition, read []Record) ([]Entry, error) {
	entries := make([]Entry, len(read))
	for i, r := range read {
		e, err := record.Decode(r.Data)
		if err != nil {
			return nil, fmt.Errorf("%s at %d: %w", p, r.Position, err)
		}
		entries[i] = Entry{uint64(r.Position), e}
	}
	return entries, nil
}

// Hopeless reports that repeating a read that failed with err does not help. All
// else passes: an engine that is away comes back.
func Hopeless(err error) bool {
	return errors.Is(err, ErrTrimmed) || errors.Is(err, ErrLost) || errors.Is(err, ErrClosed)
}

// Follow hands on the records of a partition from a position on, in order, with
// the position to read next, until ctx ends, which is no error. A read that
// failed is repeated after a pause; what no repeating helps against is returned.
// A follower that nobody waits for gathers: once there is something to read it
// lets more come together for so long, and is not woken by every append.
func Follow(ctx context.Context, j Journal, p Partition, from Position, gather, pause time.Duration, log *slog.Logger,
	hand func(entries []Entry, next Position)) error {
	const limit = 1 << 20
	for {
		read, next, err := j.Read(ctx, p, from, limit)
		if err == nil && len(read) == 0 {
			from = next
			if err = j.Wait(ctx, p, from); err == nil && gather > 0 {
				sleep(ctx, gather)
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case Hopeless(err):
			return fmt.Errorf("%s at %d: %w", p, from, err)
		case err != nil:
			log.Warn("reading a log failed, repeated", "log", p.String(), "error", err)
			sleep(ctx, pause)
			continue
		case len(read) == 0:
			continue
		}
		entries, err := Decode(p, read)
		if err != nil {
			return err
		}
		from = next
		hand(entries, next)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
