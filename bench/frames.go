package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/apns"
)

const (
	framesPushes = 2_048_000
	framesBatch  = 1024
	framesAhead  = 16 // batches under way
)

// measureFrames sends the same pushes through a lane of provider/apns alone: no
// audience, no journal, no claim, no account.
func measureFrames(ctx context.Context, s *simulator, project, n int) (side Side, err error) {
	account, origin := s.account(project)
	p, err := apns.New(apns.Default(), slog.New(slog.DiscardHandler))
	if err != nil {
		return side, err
	}
	route := provider.Route{Provider: tocsin.APNs, Topic: account.Topics[0]}
	lane, err := p.Lane(route, provider.Credential{Provider: tocsin.APNs,
		APNs:      &provider.APNs{Key: []byte(account.Key), KeyID: account.KeyID, TeamID: account.TeamID, Topics: account.Topics},
		Endpoints: []provider.Endpoint{{Origin: origin, Root: []byte(s.setup.Root)}}})
	if err != nil {
		return side, err
	}
	defer func() { err = errors.Join(err, lane.Close(ctx)) }()
	send := func(batches int) error {
		free := make(chan *provider.Batch, framesAhead)
		for range framesAhead {
			b := &provider.Batch{Route: route, Headers: provider.Headers{Urgent: true, Expiry: time.Now().Add(24 * time.Hour)},
				Done: func(b *provider.Batch) { free <- b }}
			for range framesBatch {
				b.Addresses, b.Payloads = append(b.Addresses, make([]byte, 32)), append(b.Payloads, peerPayload)
			}
			free <- b
		}
		take := func() (*provider.Batch, error) {
			select {
			case b := <-free:
				for _, r := range b.Results {
					if r != provider.Accepted {
						return nil, fmt.Errorf("a push ended as %d", r)
					}
				}
				return b, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		for n := range batches {
			b, err := take()
			if err != nil {
				return err
			}
			binary.BigEndian.PutUint64(b.ID[:], uint64(n)+1)
			for i := range b.Addresses { // any 32 bytes are a device; these are different
				binary.BigEndian.PutUint64(b.Addresses[i], uint64(n*framesBatch+i))
			}
			lane.Send(b)
		}
		for range framesAhead {
			if _, err := take(); err != nil {
				return err
			}
		}
		return nil
	}
	if err := lane.Warm(ctx); err != nil {
		return side, err
	}
	if err := send(2 * framesAhead); err != nil {
		return side, err
	}
	if err := s.reset(ctx); err != nil {
		return side, err
	}
	work, err := startWork(os.Getpid(), s.pid)
	if err != nil {
		return side, err
	}
	batches := max(1, n/framesBatch)
	if err := send(batches); err != nil {
		return side, err
	}
	if side, err = work.side(batches*framesBatch, time.Since(work.begin)); err != nil {
		return side, err
	}
	_, err = s.arrived(ctx, tocsin.APNs, batches*framesBatch)
	return side, err
}
