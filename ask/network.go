package ask

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Local are the shards that live in this process now. They come and go.
type Local interface {
	Audience(tocsin.Shard) (a Audience, here bool)
	Receipts(tocsin.Shard) (r Receipts, here bool)
}

// Unanswered: nobody answers for a shard now.
type Unanswered struct {
	Shard tocsin.Shard
	State string // why
}

func (u *Unanswered) Error() string {
	return fmt.Sprintf("nobody answers for shard %d: %s", u.Shard, u.State)
}

// Missing are the shards that nobody answered for, in order, when that is all that
// is wrong; else rest is the error.
func Missing(err error) (shards []tocsin.Shard, rest error) {
	all := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	}
	for _, one := range all {
		var u *Unanswered
		if one == nil {
			continue
		} else if !errors.As(one, &u) {
			return nil, err
		}
		shards = append(shards, u.Shard)
	}
	return shards, nil
}

const (
	patience     = 3 * time.Second        // with a shard that moves, or starts
	lookAgain    = 100 * time.Millisecond // where it is now
	rememberGone = time.Second            // that patience came to nothing
)

// Network asks for shards wherever they live. A question is put to a second process
// only when the first has not begun with it.
type Network struct {
	local Local
	seats *Seats
	peers *Peers

	mu   sync.Mutex
	gone map[Seat]time.Time // until when nobody waits for it
}

// NewNetwork asks those that seats name, through peers; nil asks nobody elsewhere.
func NewNetwork(local Local, seats *Seats, peers *Peers) *Network {
	return &Network{local: local, seats: seats, peers: peers, gone: map[Seat]time.Time{}}
}

// Shards are all of an installation.
func (n *Network) Shards(count int) Shards {
	all := make(Shards, count)
	for i := range all {
		f := far{n, tocsin.Shard(i)}
		all[i] = Shard{farAudience{f}, farReceipts{f}}
	}
	return all
}

// ask puts a question to whoever sits in a seat.
func (n *Network) ask(ctx context.Context, shard tocsin.Shard, seat Seat, q *question, some func([]Outcome) bool) (json.RawMessage, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if len(body) > mostQuestion {
		return nil, fmt.Errorf("ask: a question of %d bytes: at most %d are asked", len(body), mostQuestion)
	}
	until, look := n.seats.now().Add(patience), n.seats.Of
	for {
		state := "it belongs to no process now"
		p, ok, err := look(ctx, seat)
		if err != nil {
			return nil, err
		}
		if ok && n.peers == nil {
			state = "it lives in another process, and this one has no way to ask others"
		} else if ok {
			answer, err := n.peers.ask(ctx, p, seat, body, some)
			var not notHere
			if !errors.As(err, &not) {
				var broke brokenOff
				if errors.As(err, &broke) && ctx.Err() == nil {
					return nil, &Unanswered{shard, "its process broke off"}
				}
				n.found(seat, err == nil)
				return answer, err
			}
			state = string(not)
		}
		if now := n.seats.now(); !now.Before(until) || n.isGone(seat, now) {
			n.lost(seat, now)
			return nil, &Unanswered{shard, state}
		}
		look = n.seats.Again
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return nil, &Unanswered{shard, state}
		}
	}
}

func (n *Network) isGone(seat Seat, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return now.Before(n.gone[seat])
}

func (n *Network) lost(seat Seat, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.gone[seat] = now.Add(rememberGone)
}

func (n *Network) found(seat Seat, answered bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if answered {
		delete(n.gone, seat)
	}
}
