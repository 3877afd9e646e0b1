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
		carousel := newCarousel(func() *provider.Batch {
			b := &provider.Batch{Route: route, Headers: provider.Headers{Urgent: true, Expiry: time.Now().Add(24 * time.Hour)}}
			for range framesBatch {
				b.Addresses, b.Payloads = append(b.Addresses, make([]byte, 32)), append(b.Payloads, peerPayload)
			}
			return b
		})
		for n := range batches {
			b, err := carousel.take(ctx)
			if err != nil {
				return err
			}
			binary.BigEndian.PutUint64(b.ID[:], uint64(n)+1)
			for i := range b.Addresses { // any 32 bytes are a device; these are different
				binary.BigEndian.PutUint64(b.Addresses[i], uint64(n*framesBatch+i))
			}
			lane.Send(b)
		}
		return carousel.end(ctx)
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

// carousel holds batches that are used again and again: taken, sent, and there
// again once every push of it was accepted.
type carousel chan *provider.Batch

func newCarousel(batch func() *provider.Batch) carousel {
	t := make(carousel, framesAhead)
	for range framesAhead {
		b := batch()
		b.Done = func(b *provider.Batch) { t <- b }
		t <- b
	}
	return t
}

func (t carousel) take(ctx context.Context) (*provider.Batch, error) {
	select {
	case b := <-t:
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

// end waits for all of them.
func (t carousel) end(ctx context.Context) error {
	for range framesAhead {
		if _, err := t.take(ctx); err != nil {
			return err
		}
	}
	return nil
}
