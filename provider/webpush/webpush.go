package webpush

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// Config says how lanes to push services behave.
type Config struct {
	Bulk bulk.Config // of origins that are known or listed

	// Strangers are origins that nobody knows or listed. Anybody can register
	// one, so that together they get little.
	Strangers Strangers

	// Stock is how many bytes the secrets of next messages may take, 116 each;
	// 0 makes none ahead.
	Stock int

	// Pairs is how many key pairs are kept for messages to subscriptions that
	// have no secret in stock, 500 bytes each.
	Pairs int

	// Bodies is how many bytes of encrypted messages may wait for their answers.
	// Every lane may have one batch beyond it.
	Bodies int
}

// Default is what production uses. A host of a push service keeps no
// connection without work: there may be many of them.
func Default() Config {
	c := Config{Bulk: bulk.Default(), Strangers: defaultStrangers(), Stock: 64 << 20, Pairs: 4096, Bodies: 64 << 20}
	c.Bulk.Min = 0
	return c
}

// Validate tells what is wrong with the settings.
func (c Config) Validate() error {
	if c.Stock < 0 || c.Pairs < 0 || c.Bodies < 1 {
		return errors.New("webpush: Stock and Pairs must not be negative, and Bodies be positive")
	}
	return errors.Join(c.Bulk.Validate(), c.Strangers.validate())
}

// Provider implements provider.Provider.
type Provider struct {
	cfg       Config
	log       *slog.Logger
	encrypter *encrypter
	pairs     pairs
	stock     *stock
	wanted    chan struct{} // Prepare may have something to do
	started   time.Time
	tokens    tokens
	strangers strangers
}

// New makes a provider.
func New(cfg Config, log *slog.Logger) (*Provider, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Provider{
		cfg: cfg, log: log, encrypter: newEncrypter(cfg.Bodies), pairs: pairs{most: cfg.Pairs}, stock: newStock(cfg.Stock),
		wanted: make(chan struct{}, 1), started: time.Now(), strangers: newStrangers(cfg.Strangers),
	}, nil
}

func parse(c provider.Credential) (*vapidKey, error) {
	if c.Provider != tocsin.WebPush || c.WebPush == nil {
		return nil, errors.New("webpush: not a Web Push credential")
	}
	for _, e := range c.Endpoints {
		if _, err := bulk.Trust(e.Root); err != nil {
			return nil, fmt.Errorf("webpush: endpoint %s: %w", e.Origin, err)
		}
		if err := bulk.CheckOrigin(e.Origin); err != nil {
			return nil, err
		}
	}
	return parseKey(c.WebPush)
}

// Check implements provider.Provider.
func (p *Provider) Check(c provider.Credential) error {
	_, err := parse(c)
	return err
}

// Subject implements provider.Provider: a push service counts by its host.
func (p *Provider) Subject(r provider.Route, _ provider.Credential) string {
	return "webpush/" + canonical(r.Host)
}

// Quota implements provider.Provider: push services publish none.
func (p *Provider) Quota() int { return 0 }

// Ramp: none is asked for.
func (p *Provider) Ramp() time.Duration { return 0 }

// Lane implements provider.Provider.
func (p *Provider) Lane(r provider.Route, c provider.Credential) (provider.Lane, error) {
	key, err := parse(c)
	if err != nil {
		return nil, err
	}
	if err := CheckOrigin(r.Host, c.Endpoints); err != nil {
		return nil, err
	}
	l := &lane{provider: p, key: key, origin: r.Host, service: serviceOf(r.Host)}
	l.line = newLine(p.encrypter, l)
	cfg, o := p.cfg.Bulk, bulk.Options{Origin: r.Host, Log: p.log.With("provider", "webpush", "project", c.Project.String(), "environment", c.Environment.String())}
	if e, ok := listed(r.Host, c.Endpoints); ok {
		if o.TLS, err = bulk.Trust(e.Root); err != nil {
			return nil, err
		}
		if CheckOrigin(r.Host, nil) == nil { // a project may list it by itself; others only the platform
			o.Dial = p.strangers.dial
		}
	} else if o.Dial = p.strangers.dial; l.service == unknown {
		l.stranger, cfg, o.Dial = true, p.cfg.Strangers.Bulk, p.strangers.limited(c.Project)
	}
	if l.pool, err = bulk.New(cfg, o); err != nil {
		return nil, err
	}
	return l, nil
}

// today is the day since the start, for what gets stale.
func (p *Provider) today() uint16 { return uint16(time.Since(p.started) / (24 * time.Hour)) }
