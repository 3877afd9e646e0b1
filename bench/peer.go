package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

const (
	peerPushes   = 100_000
	peerInFlight = 1000 // of each client
)

// peerClients are the numbers of clients that the peer is tried with; its best
// counts.
var peerClients = [...]int{1, 4, 8}

// PeerRun is sideshow/apns2 with one number of clients.
type PeerRun struct {
	Clients int `json:"clients"`
	Side
}

// peer sends with a number of clients, each over a warm connection.
type peer struct {
	clients []*apns2.Client
	topic   string
	expires time.Time
}

// newPeer makes clients as the library's documentation does, apart from the
// root, and warms each with one push.
func newPeer(ctx context.Context, s *simulator, clients int) (*peer, error) {
	account, origin := s.account(peerProject)
	key, err := token.AuthKeyFromBytes([]byte(account.Key))
	if err != nil {
		return nil, err
	}
	bearer := &token.Token{AuthKey: key, KeyID: account.KeyID, TeamID: account.TeamID}
	p := &peer{topic: account.Topics[0], expires: time.Now().Add(24 * time.Hour)}
	for n := range clients {
		c := apns2.NewTokenClient(bearer)
		c.HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: s.roots}
		c.Host = origin
		if err := p.push(ctx, c, newPush(n)); err != nil {
			return nil, err
		}
		p.clients = append(p.clients, c)
	}
	return p, nil
}

func (p *peer) push(ctx context.Context, c *apns2.Client, one push) error {
	answer, err := c.PushWithContext(ctx, &apns2.Notification{DeviceToken: one.device, ApnsID: one.id, Topic: p.topic,
		PushType: apns2.PushTypeAlert, Priority: apns2.PriorityHigh, Expiration: p.expires, Payload: peerPayload})
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("apns2: answer %d %s", answer.StatusCode, answer.Reason)
	}
	return nil
}

// run sends all and returns the first error.
func (p *peer) run(ctx context.Context, pushes []push) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for _, c := range p.clients {
		for range peerInFlight {
			group.Go(func() {
				for i := int(next.Add(1)) - 1; i < len(pushes) && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
					if err := p.push(ctx, c, pushes[i]); err != nil {
						stop(err)
					}
				}
			})
		}
	}
	group.Wait()
	return context.Cause(ctx)
}

// measurePeer takes the simulator's word that all pushes arrived and went to
// different devices.
func measurePeer(ctx context.Context, s *simulator, clients int) (run PeerRun, err error) {
	p, err := newPeer(ctx, s, clients)
	if err != nil {
		return run, err
	}
	defer func() {
		for _, c := range p.clients {
			c.CloseIdleConnections()
		}
	}()
	pushes := make([]push, peerPushes)
	for n := range pushes {
		pushes[n] = newPush(n)
	}
	if err := s.reset(ctx); err != nil {
		return run, err
	}
	work, err := startWork(os.Getpid(), s.pid)
	if err != nil {
		return run, err
	}
	if err := p.run(ctx, pushes); err != nil {
		return run, err
	}
	side, err := work.side(peerPushes, time.Since(work.begin))
	if err != nil {
		return run, err
	}
	_, err = s.arrived(ctx, peerPushes)
	return PeerRun{clients, side}, err
}
