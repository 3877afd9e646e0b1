package account

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

const maxEndpoints = 16

// isWhole reports whether a credential brings its own secret.
func isWhole(c provider.Credential) bool {
	switch {
	case c.APNs != nil:
		return len(c.APNs.Key) > 0
	case c.FCM != nil:
		return len(c.FCM.ServiceAccount) > 0
	case c.WebPush != nil:
		return len(c.WebPush.PrivateKey) > 0
	}
	return false
}

// complete fills in what a credential does not bring, from the one before if
// there is one. It gives c parts of its own: the caller's stay as they are.
func complete(c *provider.Credential, before *provider.Credential) error {
	given := 0
	for _, is := range []bool{c.APNs != nil, c.FCM != nil, c.WebPush != nil} {
		if is {
			given++
		}
	}
	missing := invalid(c.Provider.String(), "want the part of this provider, and no other")
	if given != 1 {
		return missing
	}
	switch {
	case c.Provider == tocsin.APNs && c.APNs != nil:
		part := *c.APNs
		if len(part.Key) == 0 && before != nil {
			part.Key = before.APNs.Key
		}
		part.Topics = slices.Clone(part.Topics)
		c.APNs = &part
	case c.Provider == tocsin.FCM && c.FCM != nil:
		part := *c.FCM
		if len(part.ServiceAccount) == 0 && before != nil {
			part.ServiceAccount = before.FCM.ServiceAccount
		}
		c.FCM = &part
	case c.Provider == tocsin.WebPush && c.WebPush != nil:
		part := *c.WebPush
		if len(part.PrivateKey) == 0 && before != nil {
			part.PrivateKey = before.WebPush.PrivateKey
		}
		if err := pair(&part); err != nil {
			return err
		}
		c.WebPush = &part
	default:
		return missing
	}
	c.Endpoints = slices.Clone(c.Endpoints)
	return nil
}

// pair makes the VAPID key pair where there is none (RFC 8292 section 3), and
// else its public half from the private one.
func pair(w *provider.WebPush) error {
	var key *ecdh.PrivateKey
	var err error
	if len(w.PrivateKey) == 0 {
		key, err = ecdh.P256().GenerateKey(rand.Reader)
	} else {
		key, err = ecdh.P256().NewPrivateKey(w.PrivateKey)
	}
	if err != nil {
		return invalid("webpush.private_key", "want a P-256 scalar of 32 bytes")
	}
	w.PrivateKey, w.PublicKey = key.Bytes(), key.PublicKey().Bytes()
	return nil
}

// check looks at what all providers have in common, writes origins as browsers
// do, and asks the provider for the rest.
func (s *Service) check(c provider.Credential) error {
	if c.WebPush != nil {
		if u, err := url.Parse(c.WebPush.Subject); err != nil || u.Scheme != "mailto" && u.Scheme != "https" || u.Opaque+u.Host == "" {
			return invalid("webpush.subject", "want mailto:somebody@example.com or an https address")
		}
	}
	if c.Quota < 0 {
		return invalid("quota", "must not be negative; 0 is the provider's default")
	}
	if len(c.Endpoints) > maxEndpoints {
		return invalid("endpoints", "want at most %d", maxEndpoints)
	}
	for i, e := range c.Endpoints {
		path := fmt.Sprintf("endpoints[%d]", i)
		origin, ok := parseOrigin(e.Origin)
		if !ok || !strings.HasPrefix(origin, "https:") {
			return invalid(path+".origin", "want https://host[:port]")
		}
		c.Endpoints[i].Origin = origin
		if len(e.Root) > 0 && !x509.NewCertPool().AppendCertsFromPEM(e.Root) {
			return invalid(path+".root", "want certificates in PEM")
		}
	}
	if err := s.providers[c.Provider].Check(c); err != nil {
		return invalid(c.Provider.String(), "%v", err)
	}
	return nil
}
