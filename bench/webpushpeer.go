package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	webpushgo "github.com/SherClockHolmes/webpush-go"
	"golang.org/x/net/http2"

	"github.com/tocsin-push/tocsin"
)

// measurePeer sends with webpush-go as its documentation does, apart from the
// root; with a record no longer than needed, where its default pads to 4,096
// bytes.
func (b *browsers) measurePeer(ctx context.Context, n int) (side Side, err error) {
	private, public, err := b.vapid()
	if err != nil {
		return side, err
	}
	var all [browserClients]*http.Client
	for i := range all {
		all[i] = &http.Client{Transport: &http2.Transport{TLSClientConfig: &tls.Config{RootCAs: b.sim.roots}}}
		defer all[i].CloseIdleConnections()
	}
	push := func(c, i int) error { return b.pushAsPeer(ctx, all[c], i, private, public) }
	for c := range all { // connections are warm
		if err := push(c, 0); err != nil {
			return side, err
		}
	}
	if err := b.sim.reset(ctx); err != nil {
		return side, err
	}
	work, err := startWork(os.Getpid(), b.sim.pid)
	if err != nil {
		return side, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var group sync.WaitGroup
	for c := range all {
		for range browserInFlight {
			group.Go(func() {
				for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
					if err := push(c, i); err != nil {
						stop(err)
					}
				}
			})
		}
	}
	group.Wait()
	if err := context.Cause(ctx); err != nil {
		return side, err
	}
	if side, err = work.side(n, time.Since(work.begin)); err != nil {
		return side, err
	}
	_, err = b.sim.arrived(ctx, tocsin.WebPush, n)
	return side, err
}

// measureIdle is webpush-go with a client that answers at once: what it takes
// to encrypt, to sign and to make the request.
func (b *browsers) measureIdle(ctx context.Context, n int) (float64, error) {
	private, public, err := b.vapid()
	if err != nil {
		return 0, err
	}
	work, err := startWork(os.Getpid(), b.sim.pid)
	if err != nil {
		return 0, err
	}
	for i := range n {
		if err := b.pushAsPeer(ctx, nowhere{}, i, private, public); err != nil {
			return 0, err
		}
	}
	side, err := work.side(n, time.Since(work.begin))
	return side.Sender, err
}

// nowhere answers without sending.
type nowhere struct{}

func (nowhere) Do(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusCreated, Body: http.NoBody}, nil
}

// vapid is the key pair in the form that peers take.
func (b *browsers) vapid() (private, public string, err error) {
	d, err1 := b.key.Bytes()
	q, err2 := b.key.PublicKey.Bytes()
	return base64.RawURLEncoding.EncodeToString(d), base64.RawURLEncoding.EncodeToString(q), errors.Join(err1, err2)
}

func (b *browsers) pushAsPeer(ctx context.Context, c webpushgo.HTTPClient, i int, private, public string) error {
	m := &b.members[i%len(b.members)]
	answer, err := webpushgo.SendNotificationWithContext(ctx, b.text,
		&webpushgo.Subscription{Endpoint: m.Endpoint, Keys: webpushgo.Keys{Auth: m.Auth, P256dh: m.P256DH}},
		&webpushgo.Options{HTTPClient: c, Subscriber: "push@example.com", TTL: 86400, Urgency: webpushgo.UrgencyHigh,
			RecordSize: uint32(len(b.text) + 150), VAPIDPublicKey: public, VAPIDPrivateKey: private})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusCreated {
		return fmt.Errorf("answer %s %v", answer.Status, err)
	}
	return nil
}
