package audience

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

// Route is what of a subscription decides the lane that its pushes leave
// through.
type Route ask.Route

// routeOf is the route that a change names.
func routeOf(u *record.Upsert) Route {
	r := Route{Provider: tocsin.Provider(u.Provider), Host: u.Host, Topic: u.Topic}
	copy(r.Vapid[:], u.Vapid)
	return r
}

// after completes the route of a change from the one before: fields that are
// absent stay.
func (r Route) after(was Route) Route {
	if was.Provider != r.Provider {
		return r
	}
	if r.Host == "" {
		r.Host = was.Host
	}
	if r.Topic == "" {
		r.Topic = was.Topic
	}
	if r.Vapid.IsZero() {
		r.Vapid = was.Vapid
	}
	return r
}

func (r Route) compare(other Route) int {
	return cmp.Or(cmp.Compare(r.Provider, other.Provider), bytes.Compare(r.Vapid[:], other.Vapid[:]),
		strings.Compare(r.Host, other.Host), strings.Compare(r.Topic, other.Topic))
}

// fits reports whether a subscription on this route may be sent to on a page's.
// One that does not say whose key it subscribed with fits any.
func (r Route) fits(page Route) bool {
	if r.Vapid.IsZero() {
		page.Vapid = r.Vapid
	}
	return r == page
}

// Buckets of activity, the most recent first: within a day, a week, 30 days of
// the instant asked about, and earlier or never.
const Buckets = 4

var bucketAges = [Buckets - 1]time.Duration{24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}

// identity is the part of an address that tells it from others: for Web Push
// the endpoint, whatever its keys.
func identity(p tocsin.Provider, address []byte) []byte {
	if p == tocsin.WebPush && len(address) >= 2 {
		if n := int(binary.BigEndian.Uint16(address)); n <= len(address)-2 {
			return address[2 : 2+n]
		}
	}
	return address
}

// seconds keeps an instant of Unix nanoseconds in whole seconds, rounded up:
// an address is kept rather than dropped. 0 is never.
func seconds(nanos int64) uint32 {
	if nanos <= 0 {
		return 0
	}
	return uint32(min((nanos+int64(time.Second)-1)/int64(time.Second), 1<<32-1))
}

func fromSeconds(at uint32) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Unix(int64(at), 0).UTC()
}
