package sim

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Population is a seeded audience: the same members for the same fields, each
// of them reachable by its number, in proportions like those of a French
// news publisher.
type Population struct {
	Seed    uint64 // the simulator's, which derives the same browser keys
	Project int    // 0, 1, ...: different people
	Size    int
	Mix     Mix
	Topic   string    // of APNs tokens
	Origin  string    // of Web Push endpoints
	Now     time.Time // activity is counted back from it
}

// Mix is the share of each provider; the rest is Web Push.
type Mix struct{ FCM, APNs float64 }

// DefaultMix is what publishers see: 60 % Android, 30 % iOS, 10 % web.
var DefaultMix = Mix{FCM: 0.6, APNs: 0.3}

// Member is one subscription of a population.
type Member struct {
	Provider   tocsin.Provider
	Token      string // APNs, FCM
	Endpoint   string // Web Push, with its keys
	P256DH     string
	Auth       string
	Topic      string // APNs
	User       string // "" is anonymous
	Place      *Place
	Language   string
	Active     time.Time
	Installed  time.Time
	Plan       string
	Articles   int     // read in 30 days
	Loyalty    float64 // 0 to 1
	Newsletter bool
	Interests  []string
}

// All yields every member in order.
func (p Population) All() iter.Seq[Member] {
	return func(yield func(Member) bool) {
		for i := range p.Size {
			if !yield(p.At(i)) {
				return
			}
		}
	}
}

// At returns member i, from 0 to Size-1.
func (p Population) At(i int) Member {
	r := p.draw(i)
	m := Member{Topic: p.Topic}
	m.User = p.user(i)
	kind := r.unit()
	person := p.draw(p.owner(i)) // what is the same on a person's second device
	person.next()
	m.Place = placeAt(person.unit())
	m.Language = m.Place.language(person.unit())
	m.Plan = plan(person.unit())
	m.Newsletter = person.unit() < 0.3
	for _, interest := range interests {
		if person.unit() < interest.share {
			m.Interests = append(m.Interests, interest.name)
		}
	}
	switch {
	case kind < p.Mix.FCM:
		m.Provider, m.Topic, m.Token = tocsin.FCM, "", r.registration()
	case kind < p.Mix.FCM+p.Mix.APNs:
		m.Provider, m.Token = tocsin.APNs, hex.EncodeToString(r.bytes(32))
	default:
		m.Provider, m.Topic = tocsin.WebPush, ""
		id := [16]byte(r.bytes(16))
		keys := NewBrowserKeys(p.Seed, id)
		m.Endpoint = p.Origin + EndpointPath(id)
		m.P256DH = base64.RawURLEncoding.EncodeToString(keys.Private.PublicKey().Bytes())
		m.Auth = base64.RawURLEncoding.EncodeToString(keys.Auth[:])
	}
	// Half of the installs were opened in the last three days, the rest thins
	// out over months; an install is up to three years old.
	days := math.Min(-3/math.Ln2*math.Log(1-r.unit())*(1+9*r.unit()*r.unit()), 270)
	m.Active = p.Now.Add(-time.Duration(days * 24 * float64(time.Hour))).UTC().Truncate(time.Second)
	m.Installed = m.Active.Add(-time.Duration(r.unit() * 1000 * 24 * float64(time.Hour))).UTC().Truncate(time.Second)
	m.Articles = int(-12 * math.Log(1-r.unit()))
	m.Loyalty = math.Round(r.unit()*r.unit()*1000) / 1000
	return m
}

// owner is the member whose person i belongs to: one install in eight is the
// second device of the one before.
func (p Population) owner(i int) int {
	if i > 0 && i%8 == 7 {
		return i - 1
	}
	return i
}

// user names the person; one in five never signed in.
func (p Population) user(i int) string {
	i = p.owner(i)
	if i%5 == 2 {
		return ""
	}
	return "reader-" + strconv.Itoa(p.Project) + "-" + strconv.Itoa(i)
}

// AppendLine appends the member as one line of an NDJSON import.
func (m *Member) AppendLine(b []byte) []byte {
	text := func(name, value string) { // no value needs escaping
		if value != "" {
			b = append(append(append(b, `,"`...), name...), `":"`...)
			b = append(append(b, value...), '"')
		}
	}
	b = append(append(append(b, `{"provider":"`...), m.Provider.String()...), '"')
	text("token", m.Token)
	text("endpoint", m.Endpoint)
	text("p256dh", m.P256DH)
	text("auth", m.Auth)
	text("topic", m.Topic)
	text("user", m.User)
	text("language", m.Language)
	text("zone", m.Place.Zone)
	text("city", m.Place.City)
	b = append(m.Active.AppendFormat(append(b, `,"active":"`...), time.RFC3339), '"')
	b = append(append(b, `,"attributes":{"country":"`...), m.Place.Country...)
	b = append(append(b, `","plan":"`...), m.Plan...)
	b = strconv.AppendInt(append(b, `","articles":`...), int64(m.Articles), 10)
	b = strconv.AppendFloat(append(b, `,"loyalty":`...), m.Loyalty, 'f', 3, 64)
	b = strconv.AppendBool(append(b, `,"newsletter":`...), m.Newsletter)
	b = m.Installed.AppendFormat(append(b, `,"installed":{"time":"`...), time.RFC3339)
	b = append(b, `"}},"tags":{"topics":[`...)
	for i, interest := range m.Interests {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), interest...), '"')
	}
	return append(b, "]}}\n"...)
}

// Subscription is the member as the API takes it.
func (m *Member) Subscription() client.Subscription {
	topics := m.Interests
	if topics == nil {
		topics = []string{}
	}
	return client.Subscription{Provider: m.Provider, Token: m.Token, Endpoint: m.Endpoint, P256DH: m.P256DH, Auth: m.Auth,
		Topic: m.Topic, User: m.User, Language: m.Language, Zone: m.Place.Zone, City: m.Place.City, Active: m.Active,
		Attributes: map[string]client.Value{"country": client.TextValue(m.Place.Country),
			"plan": client.TextValue(m.Plan), "articles": client.IntegerValue(int64(m.Articles)),
			"loyalty": client.FloatValue(m.Loyalty), "newsletter": client.BooleanValue(m.Newsletter),
			"installed": client.TimeValue(m.Installed)},
		Tags: map[string]client.Tags{"topics": {Replace: topics}}}
}

// Address is what the ledger knows the member by; see TokenOf.
func (m *Member) Address() string {
	if m.Provider == tocsin.WebPush {
		return m.Endpoint
	}
	return m.Token
}

// lots is a sequence of random numbers that belongs to one member.
type lots struct{ state uint64 }

func (p Population) draw(i int) *lots {
	return &lots{mix(p.Seed ^ mix(uint64(p.Project)<<40^uint64(i)))}
}

func (l *lots) next() uint64 {
	l.state += 0x9e3779b97f4a7c15
	return mix(l.state)
}

// unit is in [0, 1).
func (l *lots) unit() float64 { return float64(l.next()>>11) / (1 << 53) }

func (l *lots) bytes(n int) []byte {
	b := make([]byte, 0, n+8)
	for len(b) < n {
		b = binary.LittleEndian.AppendUint64(b, l.next())
	}
	return b[:n]
}

// registration has the form and the length of an FCM registration token.
func (l *lots) registration() string {
	raw := l.bytes(16 + 100)
	b := make([]byte, 0, 163)
	b = base64.RawURLEncoding.AppendEncode(b, raw[:16])
	b = append(b, ":APA91b"...)
	b = base64.RawURLEncoding.AppendEncode(b, raw[16:])
	return string(b)
}
