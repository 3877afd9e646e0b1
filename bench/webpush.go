package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/sim"
)

const (
	browserPushes     = 40_000
	browserPeerPushes = 5_000
	browserInFlight   = 250 // of each client of the peer
	browserClients    = 4

	webPushFloor, webPushAim = 15, 40 // times webpush-go, per core
)

// browsers are what all senders of a run send to, and with.
type browsers struct {
	sim     *simulator
	origin  string
	key     *ecdsa.PrivateKey // VAPID
	members []sim.Member
	stored  [][]byte
	text    []byte
}

// BrowserRound is one run of each, one after the other.
type BrowserRound struct {
	Cold     Side    `json:"empty_pool"`
	Refill   float64 `json:"refill_s"`     // until every secret is made
	Making   float64 `json:"refill_cpu_s"` // per million secrets
	Prepared Side    `json:"prepared"`
	Peer     Side    `json:"webpush_go"`
	Idle     float64 `json:"webpush_go_without_io_cpu_s_per_million"`
	NPM      float64 `json:"npm_cpu_s_per_million"` // 0: not there
}

// overWebPush compares the lane of provider/webpush, with and without secrets
// made ahead, with webpush-go over the same simulated push service.
func overWebPush(ctx context.Context, l *lab, s *Section) error {
	if err := l.leave(); err != nil {
		return err
	}
	b, err := l.openBrowsers(ctx)
	if err != nil {
		return err
	}
	defer func() { l.end(b.sim.child) }()
	npm, missing := newNPM(ctx, l.dir)
	var rounds []BrowserRound
	for l.more(len(rounds)) {
		r, err := b.round(ctx, l, npm)
		if err != nil {
			return err
		}
		rounds = append(rounds, r)
	}
	s.Title, s.Rounds = "Web Push per core", rounds
	s.Text = []string{
		fmt.Sprintf("The lane of provider/webpush alone sends %s messages of %d bytes to as many subscriptions of a simulated push service, which "+
			"decrypts one in a hundred: once with nothing made ahead, then, after Prepare has made the secret of each one's next message, again. "+
			"Every message has a fresh key pair and salt. The rates are those of the machine with the service on it; "+
			"what compares is the processor time of the sender, TLS and HTTP/2 included.", whole(float64(len(b.stored))), len(b.text)),
		fmt.Sprintf("webpush-go sends %s messages over HTTP/2 to the same service, %d clients with %d under way each.",
			whole(float64(l.scaled(browserPeerPushes))), browserClients, browserInFlight),
	}
	t := Table{Head: sidesHead}
	for _, row := range []struct {
		name string
		run  func(*BrowserRound) Side
	}{
		{"Tocsin, secrets made ahead", func(r *BrowserRound) Side { return r.Prepared }},
		{"Tocsin, nothing made ahead", func(r *BrowserRound) Side { return r.Cold }},
		{"webpush-go", func(r *BrowserRound) Side { return r.Peer }},
	} {
		var all []Side
		for i := range rounds {
			all = append(all, row.run(&rounds[i]))
		}
		t.add(sides(row.name, all)...)
	}
	t.add("webpush-go, nothing sent", "", ranged(of(rounds, func(r *BrowserRound) float64 { return r.Idle })), "")
	if missing == nil {
		t.add("npm web-push, nothing sent", "", ranged(of(rounds, func(r *BrowserRound) float64 { return r.NPM })), "")
	} else {
		s.Text = append(s.Text, "npm web-push was not measured: "+missing.Error()+".")
	}
	s.Tables = []Table{t}
	per := func(f func(*BrowserRound) float64) []float64 { return of(rounds, f) }
	s.Checks = []Check{
		atLeast("messages a core, secrets made ahead, against webpush-go", "times", webPushFloor, webPushAim,
			per(func(r *BrowserRound) float64 { return r.Peer.Sender / r.Prepared.Sender })),
		shown("messages a core, secrets made ahead and sent, against webpush-go that sends nothing", "times",
			per(func(r *BrowserRound) float64 { return r.Idle / r.Prepared.Sender })),
		shown("messages a core, nothing made ahead, against webpush-go", "times",
			per(func(r *BrowserRound) float64 { return r.Peer.Sender / r.Cold.Sender })),
		shown("messages a second and core, secrets made ahead", "", per(func(r *BrowserRound) float64 { return 1e6 / r.Prepared.Sender })),
		shown("messages a second and core, nothing made ahead", "", per(func(r *BrowserRound) float64 { return 1e6 / r.Cold.Sender })),
		shown("making "+whole(float64(len(b.stored)))+" secrets while idle", "s", per(func(r *BrowserRound) float64 { return r.Refill })),
		shown("making a million secrets", "CPU-s", per(func(r *BrowserRound) float64 { return r.Making })),
	}
	return nil
}

func (l *lab) openBrowsers(ctx context.Context) (*browsers, error) {
	b := &browsers{text: []byte(`{"web_push":8030,"notification":{"title":"A title of some words, as newsrooms write them","body":` +
		`"And a sentence that says a little more of what happened this morning in Lyon.","navigate":"https://example.com/a/1"}}`)}
	var err error
	if b.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if b.sim, err = startSimulator(ctx, l.dir, 1); err != nil {
		return nil, err
	}
	l.children = append(l.children, b.sim.child)
	for _, c := range b.sim.setup.Projects[0].Credentials {
		if c.Provider == tocsin.WebPush {
			b.origin = c.Endpoints[0].Origin
		}
	}
	people := sim.Population{Seed: sim.Default().Seed, Size: l.scaled(browserPushes), Origin: b.origin, Now: time.Now()}
	for m := range people.All() { // none of the shares: all are browsers
		key, err1 := base64.RawURLEncoding.DecodeString(m.P256DH)
		auth, err2 := base64.RawURLEncoding.DecodeString(m.Auth)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		stored := binary.BigEndian.AppendUint16(nil, uint16(len(m.Endpoint)))
		b.members, b.stored = append(b.members, m), append(b.stored, append(append(append(stored, m.Endpoint...), key...), auth...))
	}
	return b, nil
}

func (b *browsers) round(ctx context.Context, l *lab, npm *npm) (r BrowserRound, err error) {
	if err := l.quiet(ctx); err != nil {
		return r, err
	}
	if r.Peer, err = b.measurePeer(ctx, l.scaled(browserPeerPushes)); err != nil {
		return r, fmt.Errorf("webpush-go: %w", err)
	}
	if r.Idle, err = b.measureIdle(ctx, l.scaled(browserPeerPushes)); err != nil {
		return r, fmt.Errorf("webpush-go: %w", err)
	}
	if npm != nil {
		if r.NPM, err = npm.measure(ctx, b); err != nil {
			return r, fmt.Errorf("npm web-push: %w", err)
		}
	}
	if err := l.quiet(ctx); err != nil {
		return r, err
	}
	if err = b.measureLane(ctx, &r); err != nil {
		return r, err
	}
	progress("  CPU-s per million: webpush-go %.0f, nothing made ahead %.1f, made ahead %.2f; %.1f s to make", r.Peer.Sender, r.Cold.Sender, r.Prepared.Sender, r.Refill)
	return r, nil
}

// measureLane sends to everybody, prepares, and sends again.
func (b *browsers) measureLane(ctx context.Context, r *BrowserRound) (err error) {
	private, err1 := b.key.Bytes()
	public, err2 := b.key.PublicKey.Bytes()
	p, err3 := webpush.New(webpush.Default(), slog.New(slog.DiscardHandler))
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	route := provider.Route{Provider: tocsin.WebPush, Host: b.origin}
	lane, err := p.Lane(route, provider.Credential{Provider: tocsin.WebPush,
		WebPush:   &provider.WebPush{PrivateKey: private, PublicKey: public, Subject: "mailto:push@example.com"},
		Endpoints: []provider.Endpoint{{Origin: b.origin, Root: []byte(b.sim.setup.Root)}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lane.Close(ctx)) }()
	if err := lane.Warm(ctx); err != nil {
		return err
	}
	measure := func() (side Side, err error) {
		if err := b.sim.reset(ctx); err != nil {
			return side, err
		}
		work, err := startWork(os.Getpid(), b.sim.pid)
		if err != nil {
			return side, err
		}
		if err := b.send(ctx, lane, route); err != nil {
			return side, err
		}
		if side, err = work.side(len(b.stored), time.Since(work.begin)); err != nil {
			return side, err
		}
		_, err = b.sim.arrived(ctx, tocsin.WebPush, len(b.stored))
		return side, err
	}
	if r.Cold, err = measure(); err != nil {
		return err
	}
	work, err := startWork(os.Getpid(), b.sim.pid)
	if err != nil {
		return err
	}
	if err := prepare(ctx, p, len(b.stored)); err != nil {
		return err
	}
	making, err := work.side(len(b.stored), time.Since(work.begin))
	if err != nil {
		return err
	}
	r.Refill, r.Making = float64(len(b.stored))/making.Rate, making.Sender
	r.Prepared, err = measure()
	return err
}

// prepare runs Prepare until nothing is wanted, and n are made.
func prepare(ctx context.Context, p *webpush.Provider, n int) error {
	inner, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- p.Prepare(inner, func() bool { return false }) }()
	for {
		if made, wanted := p.Prepared(); wanted == 0 {
			stop()
			if err := <-ended; err != nil || made == n {
				return err
			}
			return fmt.Errorf("%d secrets are made of %d", made, n)
		}
		if err := pause(ctx, time.Millisecond); err != nil {
			return err
		}
	}
}

// send sends one message to everybody in batches, and waits for the answers.
func (b *browsers) send(ctx context.Context, lane provider.Lane, route provider.Route) error {
	carousel := newCarousel(func() *provider.Batch { return new(provider.Batch) })
	for from := 0; from < len(b.stored); from += framesBatch {
		one, err := carousel.take(ctx)
		if err != nil {
			return err
		}
		one.Route, one.Headers = route, provider.Headers{Urgent: true, TTL: 24 * time.Hour}
		one.Addresses, one.Payloads = b.stored[from:min(from+framesBatch, len(b.stored))], one.Payloads[:0]
		for range one.Addresses {
			one.Payloads = append(one.Payloads, b.text)
		}
		lane.Send(one)
	}
	return carousel.end(ctx)
}
