package provider

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Route is where pushes leave through: one credential and one host of its
// provider. Pages are cut by route, so that a slow host holds up no other.
type Route struct {
	Provider   tocsin.Provider
	Credential tocsin.CredentialID
	Host       string // Web Push: origin of the endpoint, "https://host[:port]"; else empty
	Topic      string // APNs: the app's topic; else empty
}

// Credential is what a project shows to a provider, in clear. It is never
// logged; String and the JSON form leave the secrets out.
type Credential struct {
	ID       tocsin.CredentialID
	Project  tocsin.ProjectID
	Provider tocsin.Provider
	Version  uint64 // rises when it is replaced

	// One of the three is set, by Provider.
	APNs    *APNs
	FCM     *FCM
	WebPush *WebPush

	// Endpoints stand in for the provider's own hosts: a proxy or a test
	// service. For Web Push they are the only exceptions to https, port 443
	// and public addresses.
	Endpoints []Endpoint

	// Quota is the configured limit of pushes per minute; 0 is the provider's
	// default (FCM 600,000, others none).
	Quota int

	Environment tocsin.Environment // of the project, for what a lane logs; not stored
}

// APNs is a provider token key of an Apple team.
type APNs struct {
	Key     []byte // PEM of the .p8 file
	KeyID   string // 10 characters
	TeamID  string // 10 characters
	Topics  []string
	Sandbox bool
}

// FCM is a Google service account.
type FCM struct {
	ServiceAccount []byte // the JSON key file
}

// WebPush is a VAPID key pair (RFC 8292), made by us.
type WebPush struct {
	PrivateKey []byte // P-256 scalar, 32 bytes
	PublicKey  []byte // uncompressed point, 65 bytes
	Subject    string // mailto: or https: URI of the operator
}

// Endpoint is an origin allowed in place of, or beside, the provider's own.
type Endpoint struct {
	Origin string // "https://host[:port]"
	Root   []byte // PEM of the root certificates to trust; empty: the system's
}

// Result is what became of one push of a batch.
type Result uint8

const (
	Pending     Result = iota // not decided yet
	Accepted                  // the provider took it
	Gone                      // the address is dead
	Refused                   // this push will never be taken; see Detail
	Later                     // answered "not now": not taken this time
	Fault                     // the credential or its configuration was refused: waits for its replacement
	Unprocessed               // provably not processed (REFUSED_STREAM, above GOAWAY's last stream)
	Lost                      // bytes were written and no answer came
	Unsent                    // no byte of it was written
)

// Scope says whom a Later slows down.
type Scope uint8

const (
	OnePush    Scope = iota // this address only
	WholeQuota              // the quota subject of the route
)

// Detail tells more of one push that was not Accepted.
type Detail struct {
	Index      int
	Reason     tocsin.Reason
	Scope      Scope
	RetryAfter time.Duration // asked by the provider or fixed by its rules; 0: fanout decides
	GoneAt     time.Time     // Gone: when the provider confirmed the address dead; zero unknown
	Text       string        // the provider's own word, at most 64 bytes, no address or token in it
}

// Written is a run of pushes whose last byte left in one Write.
type Written struct {
	From, To int       // pushes From to To-1
	At       time.Time // return of that Write
}

// Headers are the parts of a message that travel outside the payload.
type Headers struct {
	Urgent     bool          // APNs priority 10, FCM HIGH, Web Push urgency high
	Expiry     time.Time     // nothing is kept by the provider after it
	TTL        time.Duration // the same as a duration, for FCM and Web Push
	Collapse   string        // at most 32 characters of the base64url alphabet
	Background bool          // APNs: no alert in it
}

// Batch is one granted range on its way: pushes of one send on one route. The
// sender fills the first part and does not touch it until Done; the lane fills
// the second, from whatever goroutine, and calls Done once.
type Batch struct {
	Route     Route
	Headers   Headers
	ID        [12]byte    // push i is identified by these bytes and big-endian uint32 i
	Addresses [][]byte    // stored form of the provider, a push each
	Payloads  [][]byte    // rendered payload, a push each; constant ones share bytes
	Stop      atomic.Bool // when set nothing more is written; the rest is Unsent

	// Left, unless nil, is called at most once, before Done, when all that will
	// ever be written of the batch is: so many pushes. It must not block.
	Left func(written int)

	Results []Result  // same length as Addresses
	Details []Detail  // at most one a push, any order
	Wrote   []Written // ascending; absent indexes were never written
	Done    func(*Batch)
}

// State is how a lane stands.
type State struct {
	Connections int
	UnderWay    int           // pushes written and not answered
	RoundTrip   time.Duration // of the nearest connection, by PING; 0: not measured yet
	Latency     time.Duration // from a write to the last answer of what it carried; 0: not measured yet
}

// ErrClosed: the lane was closed.
var ErrClosed = errors.New("provider: lane closed")

// Lane carries batches of one route. All methods may be called at once.
type Lane interface {
	// Warm brings connections and tokens up, without sending a push.
	Warm(ctx context.Context) error

	// Capacity is how many pushes may be under way at once now; it changes
	// with connections and their settings, and is at least 1.
	Capacity() int

	// State tells how the lane stands, for metrics and forecasts.
	State() State

	// Send takes the batch over and never blocks. Batches start in order. Done
	// comes once, when every push has a Result.
	Send(*Batch)

	// Close stops new writes, waits for answers until ctx ends, and settles
	// what is left as Lost or Unsent.
	Close(ctx context.Context) error
}

// Provider opens lanes. Implemented by provider/apns, provider/fcm and
// provider/webpush, and decided by providertest.
type Provider interface {
	// Check tells at once whether a credential can ever work: keys parse, names
	// are well formed. It does no I/O.
	Check(Credential) error

	// Lane opens a route with a credential.
	Lane(Route, Credential) (Lane, error)

	// Subject names who is counted by the provider's quota (law L7), the same
	// for two of our projects that share it.
	Subject(Route, Credential) string

	// Quota is the provider's default in pushes per minute; 0 is none.
	Quota() int

	// Ramp is the time in which sends that are not urgent are to rise from
	// nothing to the quota; 0: they need not.
	Ramp() time.Duration
}

// Settle gives every push of a batch that no connection has the same result and
// detail, and calls Done.
func Settle(b *Batch, r Result, d Detail) {
	b.Results = append(b.Results[:0], make([]Result, len(b.Addresses))...)
	b.Details, b.Wrote = b.Details[:0], b.Wrote[:0]
	for i := range b.Results {
		b.Results[i] = r
		if d != (Detail{}) {
			d.Index = i
			b.Details = append(b.Details, d)
		}
	}
	b.Done(b)
}
