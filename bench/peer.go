package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin"
)

// peerInFlight is how many pushes each client of a peer has under way.
const peerInFlight = 1000

// peerClients are the numbers of clients that apns2 is tried with; its best
// counts.
var peerClients = [...]int{1, 4, 8}

// PeerRun is a peer with one number of clients.
type PeerRun struct {
	Clients int `json:"clients"`
	Side
	Last float64 `json:"last"` // ms from the start until the simulator had the last push
}

// peer sends pushes; one is in the way of a peer.
type peer struct {
	clients int
	push    func(ctx context.Context, client int, one push) error
	close   func()
}

// run sends all and returns the first error.
func (p *peer) run(ctx context.Context, pushes []push) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for c := range p.clients {
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

// measure sends n pushes over warm connections, and takes the simulator's word
// that all arrived and went to different devices.
func (p *peer) measure(ctx context.Context, s *simulator, n int) (run PeerRun, err error) {
	defer p.close()
	for c := range p.clients {
		if err := p.push(ctx, c, newPush(c)); err != nil {
			return run, err
		}
	}
	pushes := make([]push, n)
	for i := range pushes {
		pushes[i] = newPush(i)
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
	side, err := work.side(n, time.Since(work.begin))
	if err != nil {
		return run, err
	}
	theirs, err := s.arrived(ctx, tocsin.APNs, n)
	if err != nil {
		return run, err
	}
	return PeerRun{p.clients, side, float64(theirs.Last.Sub(work.begin).Microseconds()) / 1000}, nil
}

// newAPNs2 makes clients as the library's documentation does, apart from the
// root.
func newAPNs2(s *simulator, project, clients int) (*peer, error) {
	account, origin := s.account(project)
	key, err := token.AuthKeyFromBytes([]byte(account.Key))
	if err != nil {
		return nil, err
	}
	bearer := &token.Token{AuthKey: key, KeyID: account.KeyID, TeamID: account.TeamID}
	all := make([]*apns2.Client, clients)
	for n := range all {
		all[n] = apns2.NewTokenClient(bearer)
		all[n].HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: s.roots}
		all[n].Host = origin
	}
	expires := time.Now().Add(24 * time.Hour)
	return &peer{clients, func(ctx context.Context, c int, one push) error {
		answer, err := all[c].PushWithContext(ctx, &apns2.Notification{DeviceToken: one.device, ApnsID: one.id, Topic: account.Topics[0],
			PushType: apns2.PushTypeAlert, Priority: apns2.PriorityHigh, Expiration: expires, Payload: peerPayload})
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("apns2: answer %d %s", answer.StatusCode, answer.Reason)
		}
		return nil
	}, func() {
		for _, c := range all {
			c.CloseIdleConnections()
		}
	}}, nil
}

// newNetHTTP is what a program on net/http alone would do: one client, a
// connection each.
func newNetHTTP(s *simulator, project, clients int) (*peer, error) {
	account, origin := s.account(project)
	key, err := token.AuthKeyFromBytes([]byte(account.Key))
	if err != nil {
		return nil, err
	}
	bearer := "bearer " + (&token.Token{AuthKey: key, KeyID: account.KeyID, TeamID: account.TeamID}).GenerateIfExpired()
	all := make([]*http.Client, clients)
	for n := range all {
		all[n] = &http.Client{Transport: &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}}
	}
	expires := strconv.FormatInt(time.Now().Add(24*time.Hour).Unix(), 10)
	return &peer{clients, func(ctx context.Context, c int, one push) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, origin+"/3/device/"+one.device, bytes.NewReader(peerPayload))
		if err != nil {
			return err
		}
		r.Header = http.Header{"Authorization": {bearer}, "Apns-Topic": {account.Topics[0]}, "Apns-Push-Type": {"alert"},
			"Apns-Priority": {"10"}, "Apns-Expiration": {expires}, "Apns-Id": {one.id}}
		answer, err := all[c].Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
			return fmt.Errorf("net/http: answer %s %v", answer.Status, err)
		}
		return nil
	}, func() {
		for _, c := range all {
			c.CloseIdleConnections()
		}
	}}, nil
}
