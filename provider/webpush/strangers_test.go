package webpush

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
)

// Origins are told apart, and a stranger's lane gets less.
func TestStrangers(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(201, ""))
	for origin, stranger := range map[string]bool{
		s.Endpoint.Origin: false, "https://fcm.googleapis.com": false, "https://updates.push.services.mozilla.com": false,
		"https://web.push.apple.com": false, "https://wns2-par02p.notify.windows.com": false,
		"https://push.example.com": true, "https://fcm.googleapis.com.example.com": true, "https://evilpush.apple.com": true,
	} {
		r := provider.Route{Provider: tocsin.WebPush, Host: origin}
		l, err := f.provider.Lane(r, f.credential(s))
		if err != nil {
			t.Fatal(err)
		}
		if got := l.(*lane).stranger; got != stranger {
			t.Errorf("%s is a stranger: %v", origin, got)
		}
		l.Close(context.Background())
	}
}

// A name is refused as soon as one of its addresses is not public, in whatever
// form it comes, and what a name leads to is looked at again when it is dialled.
func TestNamesAreResolvedFirst(t *testing.T) {
	for answer, good := range map[string]bool{
		"142.250.74.10": true, "142.250.74.10 2a00:1450:4007:80c::200a": true, "::ffff:142.250.74.10": true,
		"142.250.74.10 10.0.0.1": false, "142.250.74.10 ::ffff:10.0.0.1": false, "2a00:1450:4007:80c::200a ::1": false,
		"142.250.74.10 64:ff9b::a00:1": false, "0.0.0.0": false, "169.254.169.254": false, "100.64.0.1": false, "224.0.0.251": false,
	} {
		s := newStrangers(defaultStrangers())
		s.lookup = func(context.Context, string, string) (all []netip.Addr, err error) {
			for _, text := range strings.Fields(answer) {
				all = append(all, netip.MustParseAddr(text))
			}
			return all, nil
		}
		// The name of the socket leads to loopback, as if it were bound anew.
		c, err := s.dial(context.Background(), "tcp", "localhost:443")
		if c != nil || err == nil {
			t.Fatalf("%s: dialled", answer)
		}
		if first := err == errPrivate; first == good {
			t.Errorf("%s: %v", answer, err)
		}
		if !errors.Is(err, errPrivate) {
			t.Errorf("%s: %v", answer, err)
		}
	}
}

// Connections to strangers are counted, for each project and for all, and the
// count goes down however they end.
func TestStrangersAreCounted(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	limits := defaultStrangers()
	limits.Connections, limits.Project = 3, 2
	s := newStrangers(limits)
	s.dialer.Control = nil
	s.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr("142.250.74.10")}, nil
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	one, other := tocsin.ProjectID{1}, tocsin.ProjectID{2}
	here := listener.Addr().String()
	dial := func(project tocsin.ProjectID) net.Conn {
		t.Helper()
		c, err := s.limited(project)(context.Background(), "tcp", here)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	crowded := func(project tocsin.ProjectID) {
		t.Helper()
		if _, err := s.limited(project)(over, "tcp", here); err != errCrowded {
			t.Errorf("another connection: %v", err)
		}
	}
	conns := []net.Conn{dial(one), dial(one)}
	crowded(one)
	conns = append(conns, dial(other))
	crowded(other)
	waits := make(chan net.Conn)
	go func() {
		c, err := s.limited(other)(context.Background(), "tcp", here)
		if err != nil {
			t.Error(err)
		}
		waits <- c
	}()
	conns[0].Close()
	conns[0].Close() // counts once
	conns = append(conns, <-waits)
	crowded(one)
	conns[1].Close()
	if _, err := s.limited(one)(context.Background(), "tcp", "127.0.0.1:1"); err == nil || err == errCrowded {
		t.Errorf("dialled nobody: %v", err)
	}
	conns = append(conns, dial(one))
	for _, c := range conns {
		c.Close()
	}
	if s.open != 0 || len(s.projects) != 0 {
		t.Errorf("%d connections counted at the end, %v", s.open, s.projects)
	}
}

// Strangers in masses push no token of a known service out: Apple wants it used
// for an hour at least.
func TestTokensOfStrangersAreApart(t *testing.T) {
	f := newFixture(t)
	s := providertest.NewServer(t, reply(201, ""))
	for _, origin := range []string{"https://web.push.apple.com", "https://push.example.com"} {
		l, err := f.provider.Lane(provider.Route{Provider: tocsin.WebPush, Host: origin}, f.credential(s))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.(*lane).token(); err != nil {
			t.Fatal(err)
		}
		l.Close(context.Background())
	}
	if len(f.provider.tokens.all) != 1 || len(f.provider.strangers.tokens.all) != 1 {
		t.Errorf("%d and %d tokens", len(f.provider.tokens.all), len(f.provider.strangers.tokens.all))
	}
}

// A token is signed anew when the clock was set, as its end is a time of day.
func TestTokenFollowsTheClock(t *testing.T) {
	f := newFixture(t)
	key, err := parse(f.credential(providertest.NewServer(t, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	first, _ := f.provider.tokens.header(key, "https://example.com", now)
	if got, _ := f.provider.tokens.header(key, "https://example.com", now.Add(-time.Hour)); got == first {
		t.Error("a token signed in the future is used")
	}
}
