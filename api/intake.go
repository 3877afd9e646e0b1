package api

import (
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Limits of one subscription.
const (
	maxUser       = 256
	maxToken      = 4096
	maxEndpoint   = 2048
	maxAttributes = 100
	maxTagSets    = 50
	maxTags       = 1000 // of one set
	maxTag        = 128  // bytes
)

// fieldError is what is wrong with one field of a subscription.
type fieldError struct {
	field, reason string
	found, brief  string // a value that reason repeats, and reason without it; empty: it repeats none
}

func (e *fieldError) Error() string {
	if e.field == "" {
		return e.reason
	}
	return e.field + ": " + e.reason
}

func wrong(field, format string, args ...any) error {
	return &fieldError{field: field, reason: fmt.Sprintf(format, args...)}
}

// intake turns subscriptions of one project into changes. It is made for a
// request or a piece of an import and not shared by goroutines.
type intake struct {
	project tocsin.ProjectID
	topic   string // APNs topic where none is given; empty: no credential
	topics  map[string]bool
	fcm     bool   // there is an FCM credential
	vapid   []byte // Web Push credential; nil: none
	origins map[string]bool
	room    *room                 // that the next change may stand in; nil: each has its own
	install tocsin.SubscriptionID // of a device, which names no other; zero for the server API
}

func newIntake(project tocsin.ProjectID, credentials []provider.Credential) *intake {
	in := &intake{project: project, topics: map[string]bool{}, origins: map[string]bool{}}
	for _, c := range credentials {
		switch {
		case c.APNs != nil && len(c.APNs.Topics) > 0:
			in.topic = c.APNs.Topics[0]
			for _, t := range c.APNs.Topics {
				in.topics[t] = true
			}
		case c.FCM != nil:
			in.fcm = true
		case c.WebPush != nil:
			in.vapid = c.ID.Bytes()
			for _, e := range c.Endpoints {
				in.origins[e.Origin] = true
			}
		}
	}
	return in
}

// draft is a subscription as it was read, before it is checked as a whole.
type draft struct {
	room     *room
	id       tocsin.SubscriptionID
	user     string
	provider tocsin.Provider
	token    string
	endpoint string
	p256dh   string
	auth     string
	upsert   *record.Upsert
}

// draft begins a subscription, in the room that is kept for it if there is one.
func (in *intake) draft() draft {
	at := in.room
	if at == nil {
		at = new(room)
	}
	return draft{room: at, upsert: at.begin()}
}

// finish checks a draft and makes the change. The identifier of a
// subscription that brings none follows from user, provider and address, so
// that the same line read twice is the same subscription.
func (in *intake) finish(d *draft) (*record.Upsert, error) {
	u := d.upsert
	if err := in.address(d); err != nil {
		return nil, err
	}
	if !in.install.IsZero() {
		if !d.id.IsZero() && d.id != in.install {
			return nil, wrong("id", "a device speaks for itself only")
		}
		d.id = in.install
	}
	if d.id.IsZero() {
		if len(u.Address) == 0 {
			return nil, wrong("id", "give the id of a subscription, or its address")
		}
		d.id, u.Derived = derivedID(in.project, d.user, u), true
	}
	u.Subscription = d.id.Bytes()
	u.Profile = profileKey(d.user, d.id)
	return u, nil
}

// profileKey is the key by which a person is kept, and which decides the shard.
func profileKey(user string, id tocsin.SubscriptionID) string {
	if user != "" {
		return audience.UserKey(user)
	}
	return audience.AnonymousKey(id)
}

// derivedEpoch is the instant in identifiers that follow from an address.
const derivedEpoch = 1_767_225_600 // 2026-01-01

func derivedID(project tocsin.ProjectID, user string, u *record.Upsert) tocsin.SubscriptionID {
	buf := make([]byte, 0, 512)
	buf = append(buf, "tocsin subscription"...)
	buf = append(buf, project[:]...)
	buf = append(buf, byte(u.Provider))
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(user)))
	buf = append(buf, user...)
	buf = append(buf, u.Topic...)
	buf = append(buf, 0)
	buf = append(buf, u.Address...)
	sum := sha256.Sum256(buf)
	return tocsin.MakeID[tocsin.SubscriptionID](time.Unix(derivedEpoch, 0), [10]byte(sum[:10]))
}

// address checks what belongs to the provider and builds its stored form.
func (in *intake) address(d *draft) error {
	u := d.upsert
	if d.provider != tocsin.WebPush && (d.endpoint != "" || d.p256dh != "" || d.auth != "") {
		return wrong("endpoint", "belongs to provider webpush only")
	}
	if d.provider == tocsin.WebPush && d.token != "" {
		return wrong("token", "webpush has endpoint, p256dh and auth")
	}
	if d.provider != tocsin.APNs && u.Topic != "" {
		return wrong("topic", "belongs to provider apns only")
	}
	u.Provider = uint32(d.provider)
	switch d.provider {
	case 0:
		if d.token != "" || d.id.IsZero() && in.install.IsZero() {
			return wrong("provider", "want apns, fcm or webpush")
		}
		return nil
	case tocsin.APNs:
		raw, err := hex.DecodeString(d.token)
		if err != nil || len(raw) < 8 || len(raw) > 512 {
			return wrong("token", "want the device token in hexadecimal")
		}
		if u.Topic == "" {
			u.Topic = in.topic
		}
		if in.topic == "" {
			return wrong("provider", "the project has no APNs credential")
		}
		if !in.topics[u.Topic] {
			return wrong("topic", "is none of the topics of the project's APNs credential")
		}
		u.Address = raw
	case tocsin.FCM:
		if !in.fcm {
			return wrong("provider", "the project has no FCM credential")
		}
		if d.token == "" || !plainToken(d.token) {
			return wrong("token", "want the registration token")
		}
		u.Address = unsafe.Slice(unsafe.StringData(d.token), len(d.token)) // nobody changes it
	case tocsin.WebPush:
		return in.webPush(d)
	}
	return nil
}

// webPush stores length, endpoint, key and secret in one piece.
func (in *intake) webPush(d *draft) error {
	if in.vapid == nil {
		return wrong("provider", "the project has no Web Push credential")
	}
	origin, err := in.origin(d.endpoint)
	if err != nil {
		return wrong("endpoint", "%s", err)
	}
	key, err := decode64(d.p256dh)
	if err == nil {
		_, err = ecdh.P256().NewPublicKey(key)
	}
	if err != nil {
		return wrong("p256dh", "want an uncompressed P-256 point in base64url (RFC 8291 section 3.1)")
	}
	secret, err := decode64(d.auth)
	if err != nil || len(secret) != 16 {
		return wrong("auth", "want 16 bytes in base64url (RFC 8291 section 3.2)")
	}
	u := d.upsert
	u.Host, u.Vapid = origin, in.vapid
	u.Address = binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(d.endpoint)+len(key)+len(secret)), uint16(len(d.endpoint)))
	u.Address = append(append(append(u.Address, d.endpoint...), key...), secret...)
	return nil
}

// origin holds an endpoint against the rule that we call https on port 443 of
// public hosts only; origins of the project's credential are the exceptions.
func (in *intake) origin(endpoint string) (string, error) {
	if len(endpoint) > maxEndpoint {
		return "", fmt.Errorf("longer than %d bytes", maxEndpoint)
	}
	at, err := url.Parse(endpoint)
	if err != nil || at.Host == "" || at.User != nil || at.Fragment != "" || strings.ContainsFunc(endpoint, outsideURL) {
		return "", errors.New("want the URL that the browser gave")
	}
	origin := at.Scheme + "://" + strings.ToLower(at.Host)
	if in.origins[origin] {
		return origin, nil
	}
	if at.Scheme != "https" || at.Port() != "" && at.Port() != "443" {
		return "", errors.New("want https on port 443")
	}
	host := strings.ToLower(at.Hostname())
	if webpush.CheckOrigin("https://"+host, nil) != nil { // no lane would ever open to it
		return "", errors.New("want a public host name")
	}
	if known, _ := webpush.Known("https://" + host); !known && !in.install.IsZero() {
		return "", errors.New("not a push service of a browser; an admin may list its origin with the Web Push credential")
	}
	return "https://" + host, nil
}

// plainToken reports whether all characters are such as a URL holds as they are.
func plainToken(text string) bool {
	for i := range len(text) {
		if outsideURL(rune(text[i])) {
			return false
		}
	}
	return true
}

// outsideURL tells characters that no URL holds as they are (RFC 3986 section 2).
func outsideURL(r rune) bool { return r <= ' ' || r > '~' }

// decode64 takes base64 of both alphabets, padded or not, as browsers' code
// varies.
func decode64(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "+/") {
		return base64.RawStdEncoding.DecodeString(s)
	}
	return base64.RawURLEncoding.DecodeString(s)
}

// language returns the stored form of a BCP 47 tag.
func language(text string) (string, error) {
	tag := target.LanguageTag(text)
	if len(tag) > 35 || len(tag) < 2 {
		return "", errors.New("want a BCP 47 tag such as fr or fr-CA")
	}
	length := 0 // of the part
	for i := range len(tag) {
		switch c := tag[i]; {
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
			length++
		case c == '-' && length > 0:
			length = 0
			continue
		default:
			length = 9
		}
		if length > 8 {
			break
		}
	}
	if length == 0 || length > 8 {
		return "", errors.New("want a BCP 47 tag such as fr or fr-CA")
	}
	return tag, nil
}

// zone checks the form of an IANA time zone's name.
func zone(text string) error {
	fits := len(text) <= 64
	for i := range len(text) {
		c := text[i]
		fits = fits && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '+' || c == '-' || c == '/')
	}
	if !fits {
		return errors.New("want an IANA time zone such as Europe/Paris")
	}
	return nil
}

// brief checks a native field that may be any text.
func brief(text string) error {
	if text == "" || len(text) > 128 {
		return errors.New("want 1 to 128 bytes")
	}
	return nil
}

// checkAttribute holds an attribute of a change against the limits.
func checkAttribute(name string, v client.Value) error {
	if target.Reserved(name) && slices.Contains(strings.Fields(plainFields), name) {
		return errors.New("is no attribute but a field of the subscription: give it beside attributes")
	}
	if !target.ValidName(name) || target.Reserved(name) {
		return errors.New("want a name of 1 to 64 characters of a-z, 0-9 and _ that is not reserved")
	}
	return v.Check()
}

// attribute makes one attribute of a change.
func attribute(name string, v client.Value) (*record.Attribute, error) {
	if err := checkAttribute(name, v); err != nil {
		return nil, err
	}
	return new(attributeRoom).hold(name, v), nil
}

// checkTags holds a change of a set against the limits.
func checkTags(t *record.TagSet) error {
	if err := checkSetName(t.Name); err != nil {
		return err
	}
	return checkTexts(t)
}

func checkSetName(name string) error {
	if !target.ValidName(name) || target.Reserved(name) {
		return errors.New("want a name of 1 to 64 characters of a-z, 0-9 and _ that is not reserved")
	}
	return nil
}

func checkTexts(t *record.TagSet) error {
	for _, list := range [...][]string{t.Replace, t.Add, t.Remove} {
		if len(list) > maxTags {
			return fmt.Errorf("more than %d tags", maxTags)
		}
		for _, tag := range list {
			if tag == "" || len(tag) > maxTag {
				return fmt.Errorf("a tag has 1 to %d bytes", maxTag)
			}
		}
	}
	return nil
}
