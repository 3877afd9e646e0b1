package webpush

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tocsin-push/tocsin/provider"
)

// vapidKey is a VAPID key pair that was looked at.
type vapidKey struct {
	private *ecdsa.PrivateKey
	public  string // base64url
	subject string
	digest  [32]byte // tells keys apart
}

func parseKey(w *provider.WebPush) (*vapidKey, error) {
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), w.PrivateKey)
	if err != nil {
		return nil, errors.New("webpush: the private key is not 32 bytes of P-256")
	}
	exchange, err := ecdh.P256().NewPrivateKey(w.PrivateKey)
	if err != nil || !bytes.Equal(exchange.PublicKey().Bytes(), w.PublicKey) {
		return nil, errors.New("webpush: the public key is not that of the private key")
	}
	// Mozilla and Apple want a subject that leads to a person.
	address, isMail := strings.CutPrefix(w.Subject, "mailto:")
	if u, err := url.Parse(w.Subject); err != nil || isMail && !strings.Contains(address, "@") || !isMail && (u.Scheme != "https" || u.Host == "") {
		return nil, errors.New("webpush: the subject is neither mailto:name@host nor an https URL")
	}
	return &vapidKey{
		private: private, public: base64.RawURLEncoding.EncodeToString(w.PublicKey), subject: w.Subject,
		digest: sha256.Sum256(append(bytes.Clone(w.PrivateKey), w.Subject...)),
	}, nil
}

const (
	// tokenUse is how long a token is sent; it lives a little longer, and not
	// more than the 24 hours of RFC 8292 2.
	tokenUse  = 12 * time.Hour
	tokenLife = 13 * time.Hour
)

// tokens keeps the signed tokens of every key and origin (RFC 8292 5 asks to
// use them again; Apple forbids a new one more than once an hour).
type tokens struct {
	mu  sync.Mutex
	all map[tokenKey]vapidToken
}

type tokenKey struct {
	key    [32]byte
	origin string
}

type vapidToken struct {
	header string // value of authorization
	signed time.Time
}

// maxTokens bounds the memory that unknown hosts can take.
const maxTokens = 10_000

func (t *tokens) header(k *vapidKey, origin string, now time.Time) (string, error) {
	at := tokenKey{k.digest, canonical(origin)}
	t.mu.Lock()
	defer t.mu.Unlock()
	now = now.Round(0) // exp is of the clock on the wall, which may be set
	if have, ok := t.all[at]; ok && !now.Before(have.signed) && now.Sub(have.signed) < tokenUse {
		return have.header, nil
	}
	j := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"aud": at.origin, "exp": now.Add(tokenLife).Unix(), "sub": k.subject})
	text, err := j.SignedString(k.private)
	if err != nil {
		return "", fmt.Errorf("webpush: sign the VAPID token: %w", err)
	}
	if t.all == nil || len(t.all) >= maxTokens {
		t.all = map[tokenKey]vapidToken{}
	}
	made := vapidToken{header: "vapid t=" + text + ", k=" + k.public, signed: now}
	t.all[at] = made
	return made.header, nil
}
