package content

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Limits of the payload as this package renders it, in bytes.
const (
	MaxAPNs    = 4096
	MaxFCM     = 4096 // the members of the message without its token
	MaxWebPush = 3993 // one record of 4096 less header, delimiter and tag (RFC 8291 section 4)
)

// maxTTL is four weeks, the longest that FCM takes.
const maxTTL = 28 * 24 * time.Hour

// Priorities of record.Message. Unset is high, as for the providers.
const (
	PriorityHigh   = 1
	PriorityNormal = 2
)

// Meta is what payloads need to know of the send.
type Meta struct {
	Collapse string        // tag: at most 32 characters of the base64url alphabet; empty is none
	TTL      time.Duration // of the whole send; cut to four weeks
	Urgent   bool          // high priority, whatever the message says
}

// Collapse is the tag of a send's pushes. A phone shows one push of each tag,
// and pushes of two sends never share one.
func Collapse(project tocsin.ProjectID, send tocsin.SendID) string {
	sum := sha256.Sum256(append(append([]byte("tocsin tag"), project[:]...), send[:]...))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// Error says what is wrong with a message, and where.
type Error struct {
	Path    string // such as message.languages.fr.title
	Problem string
}

func (e *Error) Error() string { return e.Path + ": " + e.Problem }

func refuse(path, format string, args ...any) error {
	return &Error{Path: path, Problem: fmt.Sprintf(format, args...)}
}

// Compiled is a message ready to be rendered. It never changes, so that any
// number of goroutines may use it.
type Compiled struct {
	fallback string
	variants map[string]*[len(forms)]Variant
	names    []string
}

// form is how one provider wants a message.
type form struct {
	provider tocsin.Provider
	path     string // of its override
	limit    int
	braces   bool // whether the payload is a whole object
	build    func(*message) *node
	override func(*record.Message) []byte
	check    func(*node) error // of the payload with its override
}

var forms = [...]form{
	{tocsin.APNs, "message.apns", MaxAPNs, true, apnsPayload, (*record.Message).GetApns, checkAPNs},
	{tocsin.FCM, "message.fcm", MaxFCM, false, fcmPayload, (*record.Message).GetFcm, checkFCM},
	{tocsin.WebPush, "message.webpush", MaxWebPush, true, webPushPayload, (*record.Message).GetWebpush, checkWebPush},
}

// message is one language of a message with what all languages share.
type message struct {
	*record.Message
	meta     Meta
	urgent   bool
	language string       // empty in a message that shows nothing
	text     *record.Text // nil in a message that shows nothing
}

// Compile checks a message for some providers, all when none is named, and
// prepares it for them. What is wrong comes back as an *Error: one problem at a
// time, with its path.
func Compile(m *record.Message, meta Meta, providers ...tocsin.Provider) (*Compiled, error) {
	if err := check(m, meta); err != nil {
		return nil, err
	}
	meta.TTL = max(min(meta.TTL, maxTTL), 0)
	c := &Compiled{fallback: m.Fallback, variants: map[string]*[len(forms)]Variant{}}
	tags := languages(m)
	if c.fallback == "" {
		c.fallback = tags[0]
	}
	for _, tag := range tags {
		one := &message{Message: m, meta: meta, language: tag, text: m.Languages[tag]}
		one.urgent = meta.Urgent || m.Priority != PriorityNormal
		set := new([len(forms)]Variant)
		for i := range forms {
			if len(providers) > 0 && !slices.Contains(providers, forms[i].provider) {
				continue
			}
			if err := set[i].compile(&forms[i], one); err != nil {
				return nil, err
			}
			c.names = append(c.names, set[i].names()...)
		}
		c.variants[tag] = set
	}
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	return c, nil
}

// languages lists the tags of a message in order; one that shows nothing has
// the empty tag.
func languages(m *record.Message) []string {
	tags := make([]string, 0, len(m.Languages)+1)
	for tag := range m.Languages {
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		return append(tags, "")
	}
	slices.Sort(tags)
	return tags
}

// Names lists the attributes that the templates read, sorted.
func (c *Compiled) Names() []string { return c.names }

// Variant is the payload of a provider in the language that fits best: the
// recipient's, or what is left of it when subtags are cut from its end (RFC
// 4647 section 3.4), or the message's fallback. Nil for a provider unknown. One
// that the message was not compiled for has an empty payload.
func (c *Compiled) Variant(p tocsin.Provider, language string) *Variant {
	at := slices.IndexFunc(forms[:], func(f form) bool { return f.provider == p })
	if at < 0 {
		return nil
	}
	for tag := normal(language); tag != ""; tag = broader(tag) {
		if set := c.variants[tag]; set != nil {
			return &set[at]
		}
	}
	return &c.variants[c.fallback][at]
}

// normal is the lower-case form of a tag, with hyphens. It allocates only when
// the tag is not in that form, which stored ones are.
func normal(tag string) string {
	if strings.Contains(tag, "_") {
		tag = strings.ReplaceAll(tag, "_", "-")
	}
	return strings.ToLower(tag)
}

// broader cuts the last subtag, and a single letter that would then be last,
// for it only introduces what follows.
func broader(tag string) string {
	tag = tag[:max(strings.LastIndexByte(tag, '-'), 0)]
	if n := len(tag); n > 2 && tag[n-2] == '-' {
		tag = tag[:n-2]
	}
	return tag
}
