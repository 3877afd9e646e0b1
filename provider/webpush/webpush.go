package webpush

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// Config says how lanes to push services behave.
type Config struct {
	Bulk bulk.Config

	// Pairs is how many key pairs are made ahead, 200 bytes each.
	Pairs int
}

// Default is what production uses. A host of a push service keeps no
// connection without work: there may be many of them.
func Default() Config {
	c := Config{Bulk: bulk.Default(), Pairs: 4096}
	c.Bulk.Min = 0
	return c
}

// Validate tells what is wrong with the settings.
func (c Config) Validate() error {
	if c.Pairs < 1 {
		return errors.New("webpush: Pairs must be positive")
	}
	return c.Bulk.Validate()
}

// Provider implements provider.Provider.
type Provider struct {
	cfg    Config
	log    *slog.Logger
	pairs  pairs
	tokens tokens
}

// New makes a provider.
func New(cfg Config, log *slog.Logger) (*Provider, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, log: log, pairs: pairs{most: cfg.Pairs}}, nil
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
	o := bulk.Options{Origin: r.Host, Log: p.log.With("provider", "webpush", "project", c.Project.String())}
	if e, ok := listed(r.Host, c.Endpoints); ok {
		if o.TLS, err = bulk.Trust(e.Root); err != nil {
			return nil, err
		}
	} else {
		o.Dial = (&net.Dialer{Control: control}).DialContext
	}
	pool, err := bulk.New(p.cfg.Bulk, o)
	if err != nil {
		return nil, err
	}
	return &lane{provider: p, pool: pool, key: key, origin: r.Host, service: serviceOf(r.Host)}, nil
}
