package sim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"strings"
	"sync"
	"time"
)

// vapidToken is an authorization header after verification, RFC 8292.
type vapidToken struct {
	key     []byte // 65 bytes; nil: the header is wrong
	expires time.Time
	wrong   string
}

// vapidCache verifies each header once, as RFC 8292 section 5 expects.
type vapidCache struct {
	mu     sync.RWMutex
	tokens map[string]*vapidToken
}

func (v *vapidCache) verify(header []byte, origin string) *vapidToken {
	v.mu.RLock()
	t := v.tokens[string(header)]
	v.mu.RUnlock()
	if t != nil {
		return t
	}
	t = verifyVAPID(header, origin)
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.tokens == nil || len(v.tokens) >= maxCached {
		v.tokens = make(map[string]*vapidToken)
	}
	v.tokens[string(header)] = t
	return t
}

func verifyVAPID(header []byte, origin string) *vapidToken {
	fail := func(why string) *vapidToken { return &vapidToken{wrong: why} }
	var token, key string
	for part := range strings.SplitSeq(string(header[len("vapid "):]), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			token = value
		case "k":
			key = strings.TrimRight(value, "=")
		}
	}
	point, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return fail("k is not base64url")
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return fail("k is no point of P-256")
	}
	t, err := parseJWT([]byte(token))
	switch {
	case err != nil || !t.byES256(public):
		return fail("signature does not fit")
	case t.Claims.Audience != origin:
		return fail("aud is not the origin of the endpoint")
	case !strings.HasPrefix(t.Claims.Subject, "mailto:") && !strings.HasPrefix(t.Claims.Subject, "https:"):
		return fail("sub is neither mailto: nor https:")
	}
	return &vapidToken{key: point, expires: time.Unix(t.Claims.Expires, 0)}
}

// authorise: 401 without VAPID, 403 when it is wrong (RFC 8292 4.2).
func (w *webPushSession) authorise(r *request, b *browser) pushError {
	header := r.get(fieldAuthorization)
	if len(header) < 6 || !bytes.EqualFold(header[:6], []byte("vapid ")) {
		return pushError{401, 109, "authorization is missing"}
	}
	if w.token == nil || !bytes.Equal(header, w.header) {
		w.header = append(w.header[:0], header...)
		w.token = w.vapid.verify(header, w.origin)
	}
	t, now, rules := w.token, w.conn.pipe.read, w.session.rules.Load()
	switch {
	case t.key == nil:
		return pushError{403, 109, t.wrong}
	case rules.Revoked:
		return pushError{403, 109, "revoked"}
	case !t.expires.After(now):
		return pushError{403, 109, "the VAPID token is expired"}
	case t.expires.Sub(now) > time.Duration(rules.TokenAge)+clockSkew:
		return pushError{403, 109, "exp is more than a day ahead"}
	case b != nil && b.key != nil && !bytes.Equal(b.key, t.key):
		return pushError{403, 109, "the subscription belongs to another key"}
	}
	return pushError{}
}
