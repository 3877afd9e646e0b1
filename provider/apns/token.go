package apns

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tocsin-push/tocsin/provider"
)

// minResign is how often Apple allows a new token at most.
const minResign = 20 * time.Minute

// signerKey tells keys apart without keeping them.
type signerKey struct {
	key, team string
	digest    [32]byte
}

// token is a signed provider token.
type token struct {
	header string // value of authorization
	signed time.Time
}

// signer holds the one token that all lanes of a key send.
type signer struct {
	key     signerKey
	private *ecdsa.PrivateKey
	lanes   int // guarded by the provider's lock

	now atomic.Pointer[token]
	mu  sync.Mutex
}

func newSigner(a *provider.APNs) (*signer, error) {
	private, err := jwt.ParseECPrivateKeyFromPEM(a.Key)
	if err != nil {
		return nil, errors.New("apns: the key is not a PEM text with an EC private key")
	}
	if private.Curve != elliptic.P256() {
		return nil, errors.New("apns: the key is not on the curve P-256")
	}
	return &signer{key: signerKey{a.KeyID, a.TeamID, sha256.Sum256(a.Key)}, private: private}, nil
}

// token returns the token in use, signed anew when it is older than resign.
func (s *signer) token(now time.Time, resign time.Duration) (*token, error) {
	if t := s.now.Load(); t != nil && now.Sub(t.signed) < resign {
		return t, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.now.Load(); t != nil && now.Sub(t.signed) < resign {
		return t, nil
	}
	return s.sign(now)
}

func (s *signer) sign(now time.Time) (*token, error) {
	j := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"iss": s.key.team, "iat": now.Unix()})
	j.Header = map[string]any{"alg": "ES256", "kid": s.key.key} // nothing else
	text, err := j.SignedString(s.private)
	if err != nil {
		return nil, fmt.Errorf("apns: sign the provider token: %w", err)
	}
	t := &token{header: "bearer " + text, signed: now}
	s.now.Store(t)
	return t, nil
}

// expired is told that Apple called a token expired. It reports whether another
// one is worth a try: not when the token was young, for then a clock is wrong.
func (s *signer) expired(t *token, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now.Load() != t {
		return true
	}
	if now.Sub(t.signed) < minResign {
		return false
	}
	_, err := s.sign(now)
	return err == nil
}
