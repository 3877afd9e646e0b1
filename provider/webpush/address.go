package webpush

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/tocsin-push/tocsin/provider"
)

// listed returns the endpoint of the credential with the same origin.
func listed(origin string, endpoints []provider.Endpoint) (provider.Endpoint, bool) {
	for _, e := range endpoints {
		if canonical(e.Origin) == canonical(origin) {
			return e, true
		}
	}
	return provider.Endpoint{}, false
}

// canonical is an origin without its default port, in lower case: the audience
// of a VAPID token (RFC 8292 2).
func canonical(origin string) string {
	return strings.TrimSuffix(strings.ToLower(origin), ":443")
}

// CheckOrigin tells whether pushes may go to an origin: one of those listed,
// or else https, port 443 and a public name. Where the name leads is looked at
// when it is dialled.
func CheckOrigin(origin string, endpoints []provider.Endpoint) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("webpush: %.80q is not an origin https://host", origin)
	}
	if _, ok := listed(origin, endpoints); ok {
		return nil
	}
	host := strings.ToLower(u.Hostname())
	if port := u.Port(); port != "" && port != "443" {
		return errors.New("webpush: a port other than 443")
	}
	if net.ParseIP(host) != nil || strings.Contains(host, ":") {
		return errors.New("webpush: an address in place of a name")
	}
	labels := strings.Split(host, ".")
	last := labels[len(labels)-1]
	if len(labels) < 2 || last == "" || last[0] >= '0' && last[0] <= '9' {
		return errors.New("webpush: not a public name")
	}
	switch last {
	case "invalid", "localhost", "local", "internal", "test", "example", "onion", "arpa":
		return errors.New("webpush: not a public name")
	}
	return nil
}

// unicast is the part of IPv6 that is given out (RFC 4291 2.4, IANA). Mapped and
// translated IPv4 (NAT64), link-local, site-local and unique local addresses lie
// outside.
var unicast = netip.MustParsePrefix("2000::/3")

// refused are ranges in which no push service can be, besides those that netip
// has names for.
var refused = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),   // carrier-grade NAT, RFC 6598
	netip.MustParsePrefix("192.0.0.0/24"),    // RFC 6890
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation, RFC 5737
	netip.MustParsePrefix("192.88.99.0/24"),  // 6to4 relays, RFC 7526
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks, RFC 2544
	netip.MustParsePrefix("198.51.100.0/24"), // documentation, RFC 5737
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation, RFC 5737
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"),     // Teredo and other protocols, RFC 2928
	netip.MustParsePrefix("2001:db8::/32"), // documentation, RFC 3849
	netip.MustParsePrefix("2002::/16"),     // 6to4, RFC 3056
	netip.MustParsePrefix("3fff::/20"),     // documentation, RFC 9637
}

// public reports whether an address may be contacted for a stranger.
func public(a netip.Addr) bool {
	if a.Zone() != "" || a.Is6() && !unicast.Contains(a) {
		return false
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, p := range refused {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

var errPrivate = errors.New("webpush: the name leads to an address that is not public")

// control is the dialer's hook: it runs after the name was resolved, for each
// address tried, so that a name cannot be rebound in between.
func control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("webpush: dial %w", err)
	}
	if !public(to.Addr()) || to.Port() != 443 {
		return errPrivate
	}
	return nil
}

// subscription is the stored form of an address, taken apart: two bytes of
// length, the endpoint, 65 bytes of p256dh, 16 bytes of auth.
type subscription struct {
	path   []byte // of the endpoint, with its query, verbatim
	public []byte
	auth   []byte
}

const (
	publicLen = 65
	authLen   = 16
)

// open takes a stored address apart. It must lie under the lane's origin.
func open(stored []byte, origin string) (s subscription, ok bool) {
	if len(stored) < 2 {
		return s, false
	}
	n := int(binary.BigEndian.Uint16(stored))
	if len(stored) != 2+n+publicLen+authLen {
		return s, false
	}
	endpoint, keys := stored[2:2+n], stored[2+n:]
	s.public, s.auth = keys[:publicLen], keys[publicLen:]
	if len(endpoint) <= len("https://") {
		return s, false
	}
	end := bytes.IndexAny(endpoint[len("https://"):], "/?#")
	if end < 0 {
		return s, false
	}
	end += len("https://")
	s.path = endpoint[end:]
	if s.path[0] != '/' || bytes.IndexByte(s.path, '#') >= 0 {
		return s, false
	}
	for _, c := range s.path {
		if c <= ' ' || c >= 0x7f {
			return s, false
		}
	}
	return s, string(endpoint[:end]) == origin || canonical(string(endpoint[:end])) == canonical(origin)
}
