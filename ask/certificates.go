package ask

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// ProcessName stands in the certificate of every process of an installation, as a
// DNS name, and in no other certificate of its authority. It is never looked up.
const ProcessName = "process.tocsin.internal"

// Certificates are how a process shows the others who it is. The certificate and its
// key are read again when their files change; the authority at the next start.
type Certificates struct {
	cert, key string
	authority *x509.CertPool
	log       *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	changed [2]time.Time // of the files, when current was read
	looked  time.Time
}

// certificateAge is how long the files are not looked at again.
const certificateAge = 10 * time.Second

// OpenCertificates reads PEM files: a certificate for ProcessName, its key, and the
// authority that signed those of all processes.
func OpenCertificates(cert, key, authority string, log *slog.Logger) (*Certificates, error) {
	pem, err := os.ReadFile(authority)
	if err != nil {
		return nil, fmt.Errorf("ask: %w", err)
	}
	c := &Certificates{cert: cert, key: key, authority: x509.NewCertPool(), log: log}
	if !c.authority.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ask: %s holds no certificate", authority)
	}
	if err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read takes what the files hold now, if they were changed and it can be used.
func (c *Certificates) read() error {
	changed := c.changed
	for i, path := range [...]string{c.cert, c.key} {
		at, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		changed[i] = at.ModTime()
	}
	if c.current != nil && changed == c.changed {
		return nil
	}
	found, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return fmt.Errorf("ask: the certificate of this process: %w", err)
	}
	rest := x509.NewCertPool()
	for _, der := range found.Certificate[1:] {
		if between, err := x509.ParseCertificate(der); err == nil {
			rest.AddCert(between)
		}
	}
	if _, err := found.Leaf.Verify(x509.VerifyOptions{DNSName: ProcessName, Roots: c.authority, Intermediates: rest, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("ask: %s is no certificate of a process of this installation: %w", c.cert, err)
	}
	c.current, c.changed = &found, changed
	return nil
}

// now is the certificate; one that cannot be read leaves the one before.
func (c *Certificates) now() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= certificateAge {
		c.looked = now
		if err := c.read(); err != nil {
			c.log.Error("a new certificate of this process cannot be used, the one before stays", "error", err)
		}
	}
	return c.current, nil
}

func (c *Certificates) server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: c.authority,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.now() },
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 {
				return errors.New("ask: no certificate")
			}
			return s.PeerCertificates[0].VerifyHostname(ProcessName)
		}}
}

func (c *Certificates) client() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: c.authority, ServerName: ProcessName,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.now() }}
}
