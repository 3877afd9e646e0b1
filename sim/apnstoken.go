package sim

import (
	"bytes"
	"crypto/ecdsa"
	"sync"
	"time"
)

const (
	// tokenUpdates is how often a connection may show a new provider token.
	tokenUpdates = 20 * time.Minute
	// clockSkew is how far in the future a token may have been issued.
	clockSkew = 5 * time.Minute
	// maxCached bounds the verified tokens that are remembered.
	maxCached = 4096
)

// apnsKey is one provider token key that the simulated Apple knows.
type apnsKey struct {
	id, team string
	topics   []string
	public   *ecdsa.PublicKey
}

// apnsToken is a provider token after verification; a nil key is a refused one.
type apnsToken struct {
	key    *apnsKey
	issued int64 // Unix nanoseconds
}

// apnsKeys verifies provider tokens, each once.
type apnsKeys struct {
	keys   map[string]*apnsKey // by key id
	mu     sync.RWMutex
	cached map[string]*apnsToken
}

func (k *apnsKeys) verify(bearer []byte) *apnsToken {
	k.mu.RLock()
	t := k.cached[string(bearer)]
	k.mu.RUnlock()
	if t != nil {
		return t
	}
	t = &apnsToken{}
	if parsed, err := parseJWT(bearer); err == nil {
		key := k.keys[parsed.Header.Key]
		if key != nil && parsed.Claims.Issuer == key.team && parsed.byES256(key.public) {
			t = &apnsToken{key: key, issued: parsed.Claims.Issued * 1e9}
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.cached == nil || len(k.cached) >= maxCached {
		k.cached = make(map[string]*apnsToken)
	}
	k.cached[string(bearer)] = t
	return t
}

// authorise checks the provider token of a request against the connection.
func (a *apnsSession) authorise(r *request) refusal {
	header := r.get(fieldAuthorization)
	if len(header) < 7 || !bytes.EqualFold(header[:7], []byte("bearer ")) {
		return refusal{403, "MissingProviderToken"}
	}
	bearer := header[7:]
	if a.token == nil || string(bearer) != string(a.bearer) {
		a.bearer = append(a.bearer[:0], bearer...)
		a.token = a.keys.verify(bearer)
	}
	t, now, rules := a.token, a.conn.pipe.nanos, a.rules.Load()
	switch {
	case t.key == nil || rules.Revoked || t.issued > now+int64(clockSkew):
		return refusal{403, "InvalidProviderToken"}
	case now-t.issued > int64(rules.TokenAge):
		return refusal{403, "ExpiredProviderToken"}
	case t == a.bound:
		return refusal{}
	}
	if old := a.bound; old != nil {
		if old.key != t.key {
			return refusal{403, "UnrelatedKeyIdInToken"}
		}
		if now-a.since < int64(tokenUpdates) && now-old.issued <= int64(rules.TokenAge) {
			return refusal{429, "TooManyProviderTokenUpdates"}
		}
	}
	a.bound, a.since = t, now
	if a.conn.ready.CompareAndSwap(false, true) && rules.FirstStream > 0 {
		a.conn.setStreams(uint32(rules.Streams))
	}
	return refusal{}
}

// topicFits checks that the topic is one of the key's, with the suffix that
// the push type asks for.
func (a *apnsSession) topicFits(topic, kind []byte) refusal {
	if len(topic) == 0 {
		return refusal{400, "MissingTopic"}
	}
	suffix, known := apnsSuffix(string(kind))
	if !known {
		return refusal{400, "InvalidPushType"}
	}
	base, ok := bytes.CutSuffix(topic, []byte(suffix))
	if !ok {
		return refusal{400, "BadTopic"}
	}
	for _, allowed := range a.bound.key.topics {
		if allowed == string(base) {
			return refusal{}
		}
	}
	return refusal{400, "TopicDisallowed"}
}

// apnsSuffix is what a push type adds to the bundle id. A missing push type
// is an alert, as on old systems.
func apnsSuffix(kind string) (suffix string, known bool) {
	switch kind {
	case "", "alert", "background", "mdm":
		return "", true
	case "voip":
		return ".voip", true
	case "pushtotalk":
		return ".voip-ptt", true
	case "complication":
		return ".complication", true
	case "fileprovider":
		return ".pushkit.fileprovider", true
	case "location":
		return ".location-query", true
	case "liveactivity":
		return ".push-type.liveactivity", true
	case "widgets", "controls":
		return ".push-type." + kind, true
	}
	return "", false
}
