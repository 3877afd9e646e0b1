package ask

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// Route is what of a subscription decides the lane that its pushes leave through.
type Route struct {
	Provider tocsin.Provider
	Host     string              // Web Push: origin of the endpoint
	Topic    string              // APNs
	Vapid    tocsin.CredentialID // Web Push: whose key it subscribed with; zero elsewhere
}

// Subscription is all that is known of one; all but the first four fields are
// zero when it is deleted.
type Subscription struct {
	ID         tocsin.SubscriptionID
	Ordinal    uint32
	Live       bool
	Version    uint64 // of the address
	Profile    string // key
	Route      Route
	Address    []byte // stored form
	Secret     []byte // hash of the install secret; empty when it has none
	Platform   string
	Language   string
	Zone       string
	Region     string
	City       string
	AppVersion string
	OptedIn    bool
	Created    time.Time // when it registered; this and Active to the second, zero unknown
	Active     time.Time
	Since      time.Time // all that is known of it but events and sets has been as it is at least since then; zero unknown
	Attributes map[string]index.Value
	Tags       map[string][]string
}

// Person is what is known of somebody with a user id, beside the subscriptions.
type Person struct {
	Attributes map[string]index.Value // set on the person
	Tags       map[string][]string
	Lists      []string     // that the person stands in
	Events     []index.Deed // in the order of names
}

// Named is who an ordinal is.
type Named struct {
	Of           int // place in the question
	Subscription tocsin.SubscriptionID
	Profile      string // key; empty when it is deleted
}

// Used are names: of attributes, sets of tags and native fields that a subscription
// has, and of events that somebody did.
type Used struct{ Known, Events []string }

// List is what a shard knows of a list. Entries are people of this shard and
// subscriptions of all.
type List struct {
	ID     tocsin.ImportID
	Upload tocsin.ImportID // whose draft it has; zero: none
	Placed tocsin.ImportID // upload whose draft took its place last
	Size   ListSize
	Draft  ListSize
}

// ListSize is how many entries a list has on a shard.
type ListSize struct {
	People, KnownPeople   int
	Singles, KnownSingles int // subscriptions; those that were seen on this shard
}

// Sizes is about the memory of a project on a shard, in bytes by what it is for.
type Sizes struct {
	Project       tocsin.ProjectID
	Subscriptions int // live ones
	Addresses     int // with the secrets of installs
	IDs           int // of subscriptions, and the tables that find them by identifier or address
	Rows          int // what is kept of every subscription beside its attributes: times, versions, routes, who is live
	People        int // keys of persons, the table that finds them, what they hand on
	Named         int // lists, live segments, who opened which send
	Events        int
	Moves         int            // subscriptions that change shards
	Known         []index.Weight // attributes, native fields among them, and sets of tags, by name
}

// Sum is all of it.
func (z *Sizes) Sum() (bytes int) {
	bytes = z.Addresses + z.IDs + z.Rows + z.People + z.Named + z.Events + z.Moves
	for _, part := range z.Known {
		bytes += part.Bytes
	}
	return bytes
}

// Sighting is what a shard knows of a change.
type Sighting struct {
	Of      int // place in the question
	Holder  Holder
	Profile string // key, of the live subscription that has its identifier
	Found   bool   // there is one
	Leaving bool   // for another shard
}

// Holder is who has an address.
type Holder struct {
	Held    bool
	ID      tocsin.SubscriptionID
	Profile string // key
	Since   int64  // when it was registered
	OptedIn bool
}

// RoutesInUse are those of a project on a shard: of some that were asked for those
// that are, and how many there are of Web Push and of all others.
type RoutesInUse struct {
	Known           []Route
	WebPush, Others int
}
