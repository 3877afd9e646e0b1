package apns

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// Hosts of the service; both answer on 443 and 2197.
const (
	Production = "https://api.push.apple.com"
	Sandbox    = "https://api.sandbox.push.apple.com"
)

// Config says how lanes of the service behave.
type Config struct {
	Bulk bulk.Config

	// Resign is the age at which a provider token is replaced: over 20 minutes,
	// or APNs answers TooManyProviderTokenUpdates, and under 60, or it is
	// expired.
	Resign time.Duration

	// ServerError is the wait after 500 and 503, which Apple puts at 15 minutes.
	ServerError time.Duration
}

// Default is what production uses. Apple asks to spread bursts over many
// connections.
func Default() Config {
	c := Config{Bulk: bulk.Default(), Resign: 45 * time.Minute, ServerError: 15 * time.Minute}
	c.Bulk.Max, c.Bulk.OneUntilAccepted = 128, true
	return c
}

// Validate tells what is wrong with the settings.
func (c Config) Validate() error {
	if c.Resign <= minResign || c.Resign >= time.Hour {
		return errors.New("apns: Resign must lie between 20 and 60 minutes")
	}
	if c.ServerError <= 0 {
		return errors.New("apns: ServerError must be positive")
	}
	return c.Bulk.Validate()
}

// Provider implements provider.Provider.
type Provider struct {
	cfg Config
	log *slog.Logger

	mu      sync.Mutex
	signers map[signerKey]*signer
}

// New makes a provider.
func New(cfg Config, log *slog.Logger) (*Provider, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, log: log, signers: map[signerKey]*signer{}}, nil
}

var (
	tenCharacters = regexp.MustCompile(`^[A-Z0-9]{10}$`)
	bundleID      = regexp.MustCompile(`^[A-Za-z0-9.-]{1,255}$`)
)

// Check implements provider.Provider.
func (p *Provider) Check(c provider.Credential) error {
	_, err := check(c)
	return err
}

func check(c provider.Credential) (*signer, error) {
	a := c.APNs
	switch {
	case c.Provider != tocsin.APNs || a == nil:
		return nil, errors.New("apns: not an APNs credential")
	case !tenCharacters.MatchString(a.KeyID):
		return nil, errors.New("apns: the key id is not 10 characters A-Z, 0-9")
	case !tenCharacters.MatchString(a.TeamID):
		return nil, errors.New("apns: the team id is not 10 characters A-Z, 0-9")
	case len(a.Topics) == 0:
		return nil, errors.New("apns: no topic")
	case len(c.Endpoints) > 1:
		return nil, errors.New("apns: more than one endpoint")
	}
	for _, t := range a.Topics {
		if !bundleID.MatchString(t) {
			return nil, fmt.Errorf("apns: topic %.80q is not a bundle id", t)
		}
	}
	for _, e := range c.Endpoints {
		if _, err := bulk.Trust(e.Root); err != nil {
			return nil, fmt.Errorf("apns: endpoint %s: %w", e.Origin, err)
		}
		if err := bulk.CheckOrigin(e.Origin); err != nil {
			return nil, err
		}
	}
	return newSigner(a)
}

// Subject implements provider.Provider: Apple counts a team and a topic.
func (p *Provider) Subject(r provider.Route, c provider.Credential) string {
	team := ""
	if c.APNs != nil {
		team = c.APNs.TeamID
	}
	return "apns/" + team + "/" + r.Topic
}

// Quota implements provider.Provider: Apple publishes none.
func (p *Provider) Quota() int { return 0 }

// Ramp: none is asked for.
func (p *Provider) Ramp() time.Duration { return 0 }

// Lane implements provider.Provider.
func (p *Provider) Lane(r provider.Route, c provider.Credential) (provider.Lane, error) {
	s, err := check(c)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(c.APNs.Topics, r.Topic) {
		return nil, fmt.Errorf("apns: topic %.80q is not one of the credential", r.Topic)
	}
	o := bulk.Options{Origin: Production, Log: p.log.With("provider", "apns", "project", c.Project.String(), "environment", c.Environment.String())}
	if c.APNs.Sandbox {
		o.Origin = Sandbox
	}
	if len(c.Endpoints) > 0 {
		o.Origin = c.Endpoints[0].Origin
		if o.TLS, err = bulk.Trust(c.Endpoints[0].Root); err != nil {
			return nil, err
		}
	}
	pool, err := bulk.New(p.cfg.Bulk, o)
	if err != nil {
		return nil, err
	}
	return &lane{provider: p, pool: pool, signer: p.share(s), topic: r.Topic}, nil
}

// share returns the signer that all lanes with the same key use.
func (p *Provider) share(s *signer) *signer {
	p.mu.Lock()
	defer p.mu.Unlock()
	if old := p.signers[s.key]; old != nil {
		s = old
	}
	s.lanes++
	p.signers[s.key] = s
	return s
}

func (p *Provider) unshare(s *signer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.lanes--; s.lanes == 0 {
		delete(p.signers, s.key)
	}
}
