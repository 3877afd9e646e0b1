package webpush

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
)

func TestOrigins(t *testing.T) {
	listed := []provider.Endpoint{{Origin: "https://127.0.0.1:8443"}, {Origin: "https://push.internal"}}
	for origin, good := range map[string]bool{
		"https://fcm.googleapis.com": true, "https://updates.push.services.mozilla.com": true, "https://web.push.apple.com:443": true,
		"https://127.0.0.1:8443": true, "https://push.internal": true, "https://push.internal:443": true,
		"http://fcm.googleapis.com": false, "https://fcm.googleapis.com:8443": false, "https://user@fcm.googleapis.com": false,
		"https://fcm.googleapis.com/x": false, "https://fcm.googleapis.com?x": false, "https://fcm.googleapis.com#x": false,
		"https://127.0.0.1": false, "https://[::1]": false, "https://[::1]:443": false, "https://2130706433": false, "https://0x7f.1": false,
		"https://localhost": false, "https://a.localhost": false, "https://permanently-removed.invalid": false, "https://db.internal": false,
		"https://127.0.0.1:8444": false, "https://": false, "": false, "https://name.": false,
	} {
		if err := CheckOrigin(origin, listed); (err == nil) != good {
			t.Errorf("%s: %v", origin, err)
		}
	}
}

func TestPublicAddresses(t *testing.T) {
	for text, good := range map[string]bool{
		"142.250.74.10": true, "2a00:1450:4007:80c::200a": true, "34.107.243.93": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd12::1": false, "ff02::1": false,
		"::ffff:10.0.0.1": false, "::ffff:8.8.8.8": false, "::7f00:1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false, "fec0::1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != good {
			t.Errorf("%s: public is %v", text, got)
		}
	}
	for address, good := range map[string]bool{"142.250.74.10:443": true, "142.250.74.10:80": false, "127.0.0.1:443": false, "[2a00:1450::1]:443": true, "x": false} {
		if err := control("tcp", address, nil); (err == nil) != good {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A name that leads to a private address is not contacted.
func TestPrivateAddressIsNotDialled(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialer := &net.Dialer{Control: control}
	if _, err := dialer.DialContext(context.Background(), "tcp", l.Addr().String()); err == nil || !strings.Contains(err.Error(), "not public") {
		t.Errorf("dialled: %v", err)
	}
}

func TestCheck(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(201, ""))
	for name, spoil := range map[string]func(*provider.Credential){
		"another provider":  func(c *provider.Credential) { c.Provider = tocsin.APNs },
		"no key":            func(c *provider.Credential) { c.WebPush.PrivateKey = nil },
		"another key":       func(c *provider.Credential) { c.WebPush.PublicKey[5] ^= 1 },
		"no subject":        func(c *provider.Credential) { c.WebPush.Subject = "" },
		"plain subject":     func(c *provider.Credential) { c.WebPush.Subject = "http://example.com" },
		"subject of nobody": func(c *provider.Credential) { c.WebPush.Subject = "mailto:example.com" },
		"bad root":          func(c *provider.Credential) { c.Endpoints[0].Root = []byte("x") },
		"bad origin":        func(c *provider.Credential) { c.Endpoints[0].Origin = "ftp://x" },
	} {
		c := f.credential(s)
		if err := f.provider.Check(c); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if f.provider.Check(c) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := f.provider.Lane(provider.Route{Host: "https://127.0.0.1:1"}, f.credential(s)); err == nil {
		t.Error("a lane opens to an origin that is not listed")
	}
}

// Whatever is stored, it is an address of the origin or none.
func FuzzOpen(f *testing.F) {
	keys := strings.Repeat("k", publicLen+authLen)
	f.Add([]byte("\x00\x1dhttps://push.example.com/a?b=c" + keys))
	f.Add([]byte("\x00\x18https://push.example.com" + keys))
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		s, ok := open(in, "https://push.example.com")
		if !ok {
			return
		}
		if len(s.path) == 0 || s.path[0] != '/' || strings.ContainsAny(string(s.path), " #\r\n\x00") || len(s.public) != publicLen || len(s.auth) != authLen {
			t.Errorf("%q gives %+v", in, s)
		}
		if !strings.HasPrefix(strings.ToLower(string(in[2:])), "https://push.example.com") {
			t.Errorf("%q is under another origin", in)
		}
	})
}
