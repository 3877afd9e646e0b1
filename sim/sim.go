package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Sim is a set of running providers.
type Sim struct {
	config   Config
	setup    Setup
	ledger   Ledger
	names    names
	services []*service
	plain    []*http.Server // control, token endpoint, browsers
	running  sync.WaitGroup // of those
	browsers *browsers
	sockets  *browserEndpoint
	ctx      context.Context // of browsers' connections
	cancel   context.CancelFunc
	log      *slog.Logger
}

// Run starts the providers, writes the credentials file, and returns when ctx
// has ended and all has stopped.
func Run(ctx context.Context, cfg Config, log *slog.Logger) error {
	s, err := Start(cfg, log)
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := writeSecret(cfg.CredentialsFile, s.setup.Projects[0]); err != nil {
		return err
	}
	if err := writeSecret(cfg.SetupFile, s.setup); err != nil {
		return err
	}
	log.Info("simulated providers are up", "control", s.setup.Control)
	<-ctx.Done()
	return nil
}

// Start returns when every port listens.
func Start(cfg Config, log *slog.Logger) (_ *Sim, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Sim{config: cfg, log: log}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	ca, err := newAuthority(time.Now(), cfg.Host)
	if err != nil {
		return nil, err
	}
	s.setup.Root = string(ca.Root)
	for n := range cfg.Projects {
		s.setup.Projects = append(s.setup.Projects, client.ProjectRequest{Name: fmt.Sprintf("Newsroom %d", n+1),
			Environment: tocsin.Development})
	}
	for _, start := range []func(*authority) error{s.startAPNs, s.startFCM, s.startWebPush, s.startControl} {
		if err := start(ca); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Stop ends every connection and returns when all goroutines have.
func (s *Sim) Stop() {
	s.cancel()
	for _, server := range s.plain {
		server.Close()
	}
	for _, v := range s.services {
		v.stop()
	}
	if s.sockets != nil {
		s.sockets.stop()
	}
	s.running.Wait()
}

// Setup is what a sender needs.
func (s *Sim) Setup() Setup { return s.setup }

// Roots is a pool with the root of every simulator.
func (s *Sim) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(s.setup.Root))
	return pool
}

// Acks are what real browsers said of the notifications they were sent.
func (s *Sim) Acks() []Ack { return s.browsers.all() }

// Ledger is what all providers received.
func (s *Sim) Ledger() *Ledger { return &s.ledger }

// Options returns the options in force of one provider.
func (s *Sim) Options(p tocsin.Provider) Options { return s.service(p).rules.Load().Options }

// SetOptions changes them in flight, and drops changes that were to come.
func (s *Sim) SetOptions(p tocsin.Provider, o Options) error { return s.service(p).set(o) }

// Reset forgets the ledger, attempts and totals and fills the quotas;
// connections and options stay.
func (s *Sim) Reset() {
	s.ledger.Reset()
	s.names.reset()
	for _, service := range s.services {
		service.attempts.reset()
		service.totals.reset()
		for _, quota := range service.quotas {
			quota.next.Store(0)
		}
	}
}

func (s *Sim) service(p tocsin.Provider) *service { return s.services[p-tocsin.APNs] }

func (s *Sim) listen(port int) (*net.TCPListener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(s.config.Host, strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("sim: %w", err)
	}
	return l.(*net.TCPListener), nil
}

func origin(l net.Listener) string { return "https://" + l.Addr().String() }

// startService starts the HTTP/2 side of a provider and returns its origin.
func (s *Sim) startService(ca *authority, p tocsin.Provider, port int, o Options, open func(*service) func(*conn) handler) (string, error) {
	listener, err := s.listen(port)
	if err != nil {
		return "", err
	}
	log := s.log.With("provider", p.String())
	v := &service{provider: p, seed: s.config.Seed, ledger: &s.ledger, names: &s.names, log: log}
	v.server = newServer(listener, ca.config("h2"), settings{s.config.StreamWindow, s.config.ConnWindow}, &v.rules, &v.totals, log)
	v.server.open = open(v)
	if err := v.set(o); err != nil {
		listener.Close()
		return "", err
	}
	s.services = append(s.services, v)
	v.server.start()
	return origin(listener), nil
}

func (s *Sim) startAPNs(ca *authority) error {
	keys := make(map[string]*apnsKey)
	accounts := make([]*client.APNsCredential, s.config.Projects)
	for n := range accounts {
		account, key, err := newAPNsAccount(n)
		if err != nil {
			return err
		}
		accounts[n], keys[key.id] = account, key
	}
	at, err := s.startService(ca, tocsin.APNs, s.config.APNsPort, s.config.APNs, func(v *service) func(*conn) handler {
		return (&apns{v, &apnsKeys{keys: keys}}).open
	})
	if err != nil {
		return err
	}
	for n, account := range accounts {
		s.credential(n, client.CredentialRequest{Provider: tocsin.APNs, APNs: account}, at)
	}
	return nil
}

// credential adds one to a project, to be used at an origin.
func (s *Sim) credential(project int, c client.CredentialRequest, origin string) {
	c.Endpoints = []client.Endpoint{{Origin: origin, Root: s.setup.Root}}
	p := &s.setup.Projects[project]
	p.Credentials = append(p.Credentials, c)
}

func (s *Sim) startFCM(ca *authority) error {
	listener, err := s.listen(s.config.TokenPort)
	if err != nil {
		return err
	}
	files, tokens, err := newServiceAccounts(s.config.Projects, origin(listener)+"/token")
	if err != nil {
		listener.Close()
		return err
	}
	at, err := s.startService(ca, tocsin.FCM, s.config.FCMPort, s.config.FCM, func(v *service) func(*conn) handler {
		tokens.rules = &v.rules
		return (&fcm{v, tokens.accounts}).open
	})
	if err != nil {
		listener.Close()
		return err
	}
	for _, project := range tokens.projects {
		v := s.service(tocsin.FCM)
		v.quotas = append(v.quotas, &project.quota)
	}
	s.serve(tls.NewListener(listener, ca.config("h2", "http/1.1")), tokens)
	for n, file := range files {
		s.credential(n, client.CredentialRequest{Provider: tocsin.FCM, FCM: file}, at)
	}
	return nil
}

func (s *Sim) startWebPush(ca *authority) error {
	listener, err := s.listen(s.config.BrowserPort)
	if err != nil {
		return err
	}
	s.browsers = &browsers{agents: make(map[string]*agent), byID: make(map[[16]byte]*browser), removed: make(map[[16]byte]bool)}
	push := &webPush{every: s.config.DecryptEvery, vapid: &vapidCache{}, browsers: s.browsers}
	at, err := s.startService(ca, tocsin.WebPush, s.config.WebPushPort, s.config.WebPush, func(v *service) func(*conn) handler {
		push.service, push.origin = v, origin(v.server.listener)
		s.browsers.origin = push.origin
		return push.open
	})
	if err != nil {
		listener.Close()
		return err
	}
	s.setup.Browser = "ws://" + listener.Addr().String() + "/"
	s.sockets = &browserEndpoint{browsers: s.browsers, ctx: s.ctx}
	s.serve(listener, s.sockets)
	for n := range s.setup.Projects {
		s.credential(n, client.CredentialRequest{Provider: tocsin.WebPush,
			WebPush: &client.WebPushCredential{Subject: "mailto:operator@example.com"}}, at)
	}
	return nil
}

func (s *Sim) startControl(*authority) error {
	listener, err := s.listen(s.config.ControlPort)
	if err != nil {
		return err
	}
	s.setup.Control = "http://" + listener.Addr().String()
	s.serve(listener, s.routes())
	return nil
}

// serve answers with the standard library, where speed does not matter.
func (s *Sim) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: handshakeTimeout,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	s.plain = append(s.plain, server)
	s.running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("cannot serve", "address", listener.Addr().String(), "error", err)
		}
	})
}

// writeSecret writes a JSON file at once or not at all; it holds private keys.
func writeSecret(name string, v any) error {
	if name == "" {
		return nil
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("sim: credentials: %w", err)
	}
	part := name + ".part"
	if err := os.WriteFile(part, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("sim: credentials: %w", err)
	}
	if err := os.Rename(part, name); err != nil {
		return fmt.Errorf("sim: credentials: %w", err)
	}
	return nil
}
