package webpush

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/providertest"
)

// Every lane to a public name dials through the guard: it resolves the name
// itself, and its socket refuses an address that is not public.
func TestAddressesAreGuardedInEveryLane(t *testing.T) {
	for _, origin := range []string{"https://fcm.googleapis.com", "https://push.example.com", "https://listed.example.com"} {
		f := newFixture(t)
		asked := make(chan string, 100)
		f.provider.strangers.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
			asked <- host
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
		c := f.credential(providertest.NewServer(t, reply(201, "")))
		c.Endpoints = []provider.Endpoint{{Origin: "https://listed.example.com"}}
		l, err := f.provider.Lane(provider.Route{Provider: tocsin.WebPush, Host: origin}, c)
		if err != nil {
			t.Fatal(err)
		}
		came := make(chan struct{})
		l.Send(&provider.Batch{Addresses: [][]byte{stored(origin+"/a", f.browser.PublicKey().Bytes(), f.auth)}, Payloads: [][]byte{[]byte("text")},
			Done: func(*provider.Batch) { close(came) }})
		if host := <-asked; "https://"+host != origin {
			t.Errorf("%s: looked %q up", origin, host)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // nobody waits for what cannot be reached
		l.Close(ctx)
		<-came
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if c, err := newFixture(t).provider.strangers.dialer.Dial("tcp", listener.Addr().String()); err == nil {
		c.Close()
		t.Error("the provider's dialer reaches loopback")
	}
}
