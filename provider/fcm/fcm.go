package fcm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// Origin is the service's own host.
const Origin = "https://fcm.googleapis.com"

// Config says how lanes of the service behave.
type Config struct {
	Bulk bulk.Config

	// TokenTimeout is the longest that an exchange for an access token may take.
	TokenTimeout time.Duration

	// Renew is the time before the end of an access token at which another is
	// fetched, while the old one is still used.
	Renew time.Duration

	// Throttled is the wait after a 429 that names none.
	Throttled time.Duration

	// Ramp is the time in which sends that are not urgent rise to the quota.
	// Google asks for a minute at least; 0 is at once.
	Ramp time.Duration
}

// Default is what production uses. Google's front ends allow 100 streams on a
// connection, so that more connections are needed than elsewhere. Eight of them
// carry eight times the default quota when an answer takes 10 ms; they are worth
// more only where answers take longer.
func Default() Config {
	c := Config{Bulk: bulk.Default(), TokenTimeout: 10 * time.Second, Renew: 5 * time.Minute, Throttled: time.Minute, Ramp: time.Minute}
	c.Bulk.Max, c.Bulk.Quick, c.Bulk.GrowAfter = 100, 8, 10*time.Millisecond
	return c
}

// Validate tells what is wrong with the settings.
func (c Config) Validate() error {
	if c.TokenTimeout <= 0 || c.Renew <= 0 || c.Throttled <= 0 || c.Ramp < 0 {
		return errors.New("fcm: TokenTimeout, Renew and Throttled must be positive, Ramp not negative")
	}
	return c.Bulk.Validate()
}

// Provider implements provider.Provider.
type Provider struct {
	cfg Config
	log *slog.Logger
}

// New makes a provider.
func New(cfg Config, log *slog.Logger) (*Provider, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Provider{cfg: cfg, log: log}, nil
}

// account is the key file of a service account.
type account struct {
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

var projectID = regexp.MustCompile(`^[a-z0-9][a-z0-9.:-]{0,99}$`)

// parse reads a credential and tells what is wrong with it. A message never
// holds a part of the key.
func parse(c provider.Credential) (a account, err error) {
	if c.Provider != tocsin.FCM || c.FCM == nil {
		return a, errors.New("fcm: not an FCM credential")
	}
	if json.Unmarshal(c.FCM.ServiceAccount, &a) != nil {
		return a, errors.New("fcm: the key file is not JSON")
	}
	switch {
	case !projectID.MatchString(a.ProjectID):
		return a, errors.New("fcm: the key file has no valid project_id")
	case a.ClientEmail == "" || a.PrivateKeyID == "":
		return a, errors.New("fcm: the key file has no client_email or private_key_id")
	}
	if _, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(a.PrivateKey)); err != nil {
		return a, errors.New("fcm: private_key of the key file is not a PEM text with an RSA key")
	}
	for _, e := range c.Endpoints {
		if _, err := bulk.Trust(e.Root); err != nil {
			return a, fmt.Errorf("fcm: endpoint %s: %w", e.Origin, err)
		}
		if err := bulk.CheckOrigin(e.Origin); err != nil {
			return a, err
		}
	}
	if _, err := tokenRoot(a, c.Endpoints); err != nil {
		return a, err
	}
	return a, nil
}

// tokenRoot tells which root certificates the token endpoint is trusted by. A
// key file comes from a tenant: it may send us to Google, or to a host that
// stands in for it, and nowhere else.
func tokenRoot(a account, endpoints []provider.Endpoint) (root []byte, err error) {
	u, err := url.Parse(a.TokenURI)
	if err != nil || u.Scheme != "https" || u.User != nil {
		return nil, errors.New("fcm: token_uri of the key file is not an https URL")
	}
	listed := false
	for _, e := range endpoints {
		if o, err := url.Parse(e.Origin); err == nil && o.Hostname() == u.Hostname() && (!listed || o.Host == u.Host) {
			root, listed = e.Root, true // another port of the same host has the same root, unless it is listed too
		}
	}
	if listed {
		return root, nil
	}
	if host := u.Hostname(); u.Port() == "" && (host == "accounts.google.com" || strings.HasSuffix(host, ".googleapis.com")) {
		return nil, nil
	}
	return nil, errors.New("fcm: token_uri of the key file leads neither to Google nor to an endpoint of the credential")
}

// Check implements provider.Provider.
func (p *Provider) Check(c provider.Credential) error {
	_, err := parse(c)
	return err
}

// Subject implements provider.Provider: Google counts a Firebase project.
func (p *Provider) Subject(_ provider.Route, c provider.Credential) string {
	a, _ := parse(c)
	return "fcm/" + a.ProjectID
}

// Quota implements provider.Provider: Google's default for a project.
func (p *Provider) Quota() int { return 600_000 }

// Ramp is Config.Ramp.
func (p *Provider) Ramp() time.Duration { return p.cfg.Ramp }

// Lane implements provider.Provider.
func (p *Provider) Lane(_ provider.Route, c provider.Credential) (provider.Lane, error) {
	a, err := parse(c)
	if err != nil {
		return nil, err
	}
	root, err := tokenRoot(a, c.Endpoints)
	if err != nil {
		return nil, err
	}
	o := bulk.Options{Origin: Origin, Log: p.log.With("provider", "fcm", "project", c.Project.String(), "environment", c.Environment.String())}
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
	ctx, cancel := context.WithCancel(context.Background())
	source, err := newSource(ctx, a, root, p.cfg.TokenTimeout)
	if err != nil {
		cancel()
		return nil, errors.Join(err, pool.Close(ctx))
	}
	return &lane{
		cfg: p.cfg, pool: pool, log: o.Log, path: "/v1/projects/" + a.ProjectID + "/messages:send",
		source: source, cancel: cancel, changed: make(chan struct{}),
	}, nil
}
