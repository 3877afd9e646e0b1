package ask

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// seatTable has one row for each seat that somebody sits in, in one partition.
const seatTable = "seat"

func seatPlace() store.Place { return store.Place{Table: seatTable, Partition: "all"} }

// Seat is what one process at a time answers for.
type Seat string

// AudienceOf, ReceiptsOf and LanesOf name the seats: the audience of a shard, its
// counters and traces, and the lanes of the process at an address.
func AudienceOf(shard tocsin.Shard) Seat { return Seat(fmt.Sprintf("audience/%04d", shard)) }
func ReceiptsOf(shard tocsin.Shard) Seat { return Seat(fmt.Sprintf("receipts/%04d", shard)) }
func LanesOf(address string) Seat        { return Seat(lanesPrefix + address) }

const lanesPrefix = "lanes/"

const (
	seatLife  = 30 * time.Second // of a row that nobody renews
	seatRenew = 10 * time.Second
	seatAgain = time.Second            // after a write that failed, or was overtaken
	seatAge   = 5 * time.Second        // of what is believed without another look
	seatPause = 100 * time.Millisecond // between two looks that were asked for
)

// Process is one that answers others.
type Process struct {
	Address     string // host:port
	Incarnation uint64
}

// Sit tells until ctx ends, which is no error, that a process answers for a seat.
// Of two that do the later one is asked; a process that was paused and sits down
// again is told by its next look. It tells where to ask, and fences nothing.
func Sit(ctx context.Context, s store.Store, now func() time.Time, log *slog.Logger, p Process, seats ...Seat) {
	for {
		pause := seatRenew
		for _, seat := range seats {
			if mine, err := sit(ctx, s, now(), seat, p); err != nil || !mine {
				pause = seatAgain
				if err != nil && ctx.Err() == nil {
					log.Warn("where a shard is asked could not be written, repeated", "seat", string(seat), "error", err)
				}
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// sit writes the row and reports whether it is the one that stands.
func sit(ctx context.Context, s store.Store, now time.Time, seat Seat, p Process) (mine bool, err error) {
	was, err := s.Get(ctx, seatPlace(), string(seat))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	value, err := (&record.Seated{Address: p.Address, Incarnation: p.Incarnation}).MarshalVT()
	if err != nil {
		return false, err
	}
	// Above the version of an expired row too, which nobody sees.
	version := max(uint64(now.UnixNano()), was.Version+1)
	if err := s.Write(ctx, seatPlace(), store.Write{Key: string(seat), Value: value, Version: version, Expires: now.Add(seatLife)}); err != nil {
		return false, err
	}
	is, err := s.Get(ctx, seatPlace(), string(seat))
	return err == nil && is.Version == version, err
}

// Seats are where to ask, as the store told not long ago. Any number may call them
// at once.
type Seats struct {
	store   store.Store
	now     func() time.Time
	looking singleflight.Group

	mu   sync.Mutex
	at   map[Seat]Process
	seen time.Time
}

// NewSeats has not looked yet.
func NewSeats(s store.Store, now func() time.Time) *Seats { return &Seats{store: s, now: now} }

// Of is who sits in a seat; not ok: nobody does.
func (s *Seats) Of(ctx context.Context, seat Seat) (p Process, ok bool, err error) {
	at, err := s.all(ctx, seatAge)
	p, ok = at[seat]
	return p, ok, err
}

// Again is Of for one who was told that somebody else sits there: it looks anew,
// unless somebody did just now.
func (s *Seats) Again(ctx context.Context, seat Seat) (p Process, ok bool, err error) {
	at, err := s.all(ctx, seatPause)
	p, ok = at[seat]
	return p, ok, err
}

// Lanes are the processes that have lanes.
func (s *Seats) Lanes(ctx context.Context) (all []Process, err error) {
	at, err := s.all(ctx, seatAge)
	for seat, p := range at {
		if strings.HasPrefix(string(seat), lanesPrefix) {
			all = append(all, p)
		}
	}
	return all, err
}

// all returns what is at most so old. The map is never changed.
func (s *Seats) all(ctx context.Context, age time.Duration) (map[Seat]Process, error) {
	s.mu.Lock()
	at, seen := s.at, s.seen
	s.mu.Unlock()
	if at != nil && s.now().Sub(seen) < age {
		return at, nil
	}
	found := s.looking.DoChan("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), seatAge)
		defer cancel()
		return s.look(ctx)
	})
	select {
	case r := <-found:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(map[Seat]Process), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Seats) look(ctx context.Context) (map[Seat]Process, error) {
	begun := s.now()
	rows, err := store.All(ctx, s.store, seatPlace(), "", "")
	if err != nil {
		return nil, fmt.Errorf("ask: who answers for what: %w", err)
	}
	at := make(map[Seat]Process, len(rows))
	for _, r := range rows {
		seated := new(record.Seated)
		if err := seated.UnmarshalVT(r.Value); err != nil {
			return nil, fmt.Errorf("ask: row of a seat: %w", err)
		}
		at[Seat(r.Key)] = Process{Address: seated.Address, Incarnation: seated.Incarnation}
	}
	s.mu.Lock()
	s.at, s.seen = at, begun
	s.mu.Unlock()
	return at, nil
}
