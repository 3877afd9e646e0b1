package sim

import (
	"bufio"
	"context"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2/hpack"
	"golang.org/x/oauth2"

	"github.com/tocsin-push/tocsin"
)

// serveVariable makes the test binary a simulator of its own, so that its CPU
// time can be told from the client's.
const serveVariable = "TOCSIN_SIM_BENCH"

func TestMain(m *testing.M) {
	if os.Getenv(serveVariable) == "" {
		os.Exit(m.Run())
	}
	cfg := Default()
	cfg.FCM.Quota = 0
	cfg.DecryptEvery = 1 << 62 // BenchmarkDecrypt is the cost of one
	s, err := Start(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := json.NewEncoder(os.Stdout).Encode(s.setup); err != nil {
		os.Exit(1)
	}
	for in := bufio.NewReader(os.Stdin); ; {
		if _, err := in.ReadByte(); err != nil { // ends with the parent
			os.Exit(0)
		}
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			os.Exit(1)
		}
		json.NewEncoder(os.Stdout).Encode(usage.Utime.Nano() + usage.Stime.Nano())
	}
}

// child is a simulator in a process of its own.
type child struct {
	Sim
	command *exec.Cmd
	in      io.WriteCloser
	out     *json.Decoder
}

func startChild(b *testing.B) *child {
	b.Helper()
	c := &child{command: exec.Command(os.Args[0])}
	c.command.Env = append(os.Environ(), serveVariable+"=1")
	in, err1 := c.command.StdinPipe()
	out, err2 := c.command.StdoutPipe()
	if err := errors.Join(err1, err2, c.command.Start()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		c.command.Wait()
	})
	c.in, c.out = in, json.NewDecoder(out)
	if err := c.out.Decode(&c.setup); err != nil {
		b.Fatal(err)
	}
	return c
}

// cpu is the time that the child has used so far.
func (c *child) cpu(b *testing.B) time.Duration {
	var cpu int64
	_, err := c.in.Write([]byte{1})
	if err = errors.Join(err, c.out.Decode(&cpu)); err != nil {
		b.Fatal(err)
	}
	return time.Duration(cpu)
}

// measure floods a child over connections and reports its CPU time, when its
// ledger has held as many records before.
func measure(b *testing.B, c *child, dial func(n int) *flood, connections, window int) {
	floods := make([]*flood, connections)
	for i := range floods {
		floods[i] = dial(i)
	}
	each := b.N/connections + 1
	all := func() {
		var wg sync.WaitGroup
		for i, f := range floods {
			wg.Go(func() {
				if err := f.run(i*each, each, window); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	all()
	r, err := http.Post(c.setup.Control+"/reset", "", nil)
	if err != nil {
		b.Fatal(err)
	}
	r.Body.Close()
	before := c.cpu(b)
	b.ResetTimer()
	all()
	b.StopTimer()
	used := c.cpu(b) - before
	if r, err = http.Get(c.setup.Control + "/ledger"); err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	var accounts map[tocsin.Provider]Account
	if err := json.NewDecoder(r.Body).Decode(&accounts); err != nil {
		b.Fatal(err)
	}
	pushes := each * connections
	for _, a := range accounts {
		if a.Accepted != pushes || a.Distinct != pushes {
			b.Errorf("ledger %+v, want %d accepted", a, pushes)
		}
	}
	b.ReportMetric(used.Seconds()/float64(pushes)*1e6, "server-CPU-s/M")
	b.ReportMetric(float64(pushes)/b.Elapsed().Seconds(), "pushes/s")
}

// BenchmarkAPNs is the cost of an answered push with its ledger record, with
// about 500 bytes up and 56 down: the provider token is written out, as Apple
// asks. Run it with -benchtime=2000000x.
func BenchmarkAPNs(b *testing.B) {
	b.Run("at-once", func(b *testing.B) { benchmarkAPNs(b, startChild(b), 4) })
	b.Run("after-50ms", func(b *testing.B) {
		c := startChild(b)
		c.post(b, `{"apns":{"delay":"50ms"}}`)
		benchmarkAPNs(b, c, 50)
	})
}

func benchmarkAPNs(b *testing.B, c *child, connections int) {
	bearer, account := c.apnsToken(b, time.Now()), c.account(tocsin.APNs)
	measure(b, c, func(int) *flood {
		return newFlood(b, c.Roots(), account.Endpoints[0].Origin, []hpack.HeaderField{{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"}, {Name: ":path", Value: "/3/device/" + strings.Repeat("0", 64)}, {Name: ":authority", Value: "localhost"},
			{Name: "authorization", Value: "bearer " + bearer}, {Name: "apns-topic", Value: Topic(0)},
			{Name: "apns-push-type", Value: "alert"}, {Name: "apns-priority", Value: "10"}, {Name: "apns-expiration", Value: "1999999999"},
			{Name: "apns-collapse-id", Value: "bench"}, {Name: "apns-id", Value: "6c0dd2ca-5a03-4f3a-9dd4-c3a4a2b6f001"},
		}, strings.Repeat("0", 64), `{"aps":{"alert":{"title":"`+strings.Repeat("t", 50)+`","body":"`+strings.Repeat("b", 110)+`"}}}`)
	}, connections, 1000)
}

// BenchmarkFCM is the same for FCM, whose answers have a body, on 40
// connections of 100 streams.
func BenchmarkFCM(b *testing.B) {
	c := startChild(b)
	ctx := context.WithValue(b.Context(), oauth2.HTTPClient, c.httpClient())
	access, err := c.serviceAccount(b).TokenSource(ctx).Token()
	if err != nil {
		b.Fatal(err)
	}
	zeros := strings.Repeat("0", 163)
	measure(b, c, func(int) *flood {
		return newFlood(b, c.Roots(), c.account(tocsin.FCM).Endpoints[0].Origin, []hpack.HeaderField{{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"}, {Name: ":path", Value: "/v1/projects/sim-newsroom-0/messages:send"},
			{Name: ":authority", Value: "localhost"}, {Name: "authorization", Value: "Bearer " + access.AccessToken},
			{Name: "content-type", Value: "application/json"},
		}, zeros, `{"message":{"token":"`+zeros+`","notification":{"title":"`+strings.Repeat("t", 50)+`","body":"`+strings.Repeat("b", 110)+
			`"},"android":{"priority":"HIGH","ttl":"3600s","notification":{"tag":"bench"}}}}`)
	}, 40, 100)
}

// BenchmarkWebPush is the same for Web Push without the messages that are
// decrypted, on 40 connections of 100 streams.
func BenchmarkWebPush(b *testing.B) {
	c := startChild(b)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	public, err := key.PublicKey.Bytes()
	if err != nil {
		b.Fatal(err)
	}
	origin := c.account(tocsin.WebPush).Endpoints[0].Origin
	token := signES256(b, key, map[string]any{"alg": "ES256", "typ": "JWT"},
		map[string]any{"aud": origin, "sub": "mailto:operator@example.com", "exp": time.Now().Add(time.Hour).Unix()})
	message := strings.Repeat("\x00", 18) + "\x10\x00\x41\x04" + strings.Repeat("k", 64) + strings.Repeat("m", 217)
	zeros := "AAAAAAAAAAAAAAAAAAAAAA"
	measure(b, c, func(int) *flood {
		return newFlood(b, c.Roots(), origin, []hpack.HeaderField{{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"}, {Name: ":path", Value: "/wp/" + zeros}, {Name: ":authority", Value: "localhost"},
			{Name: "authorization", Value: "vapid t=" + token + ", k=" + base64.RawURLEncoding.EncodeToString(public)},
			{Name: "content-encoding", Value: "aes128gcm"}, {Name: "ttl", Value: "3600"}, {Name: "urgency", Value: "high"},
			{Name: "topic", Value: "bench"},
		}, zeros, message)
	}, 40, 100)
}

// BenchmarkDecrypt is what a message costs that is decrypted, one in a hundred.
func BenchmarkDecrypt(b *testing.B) {
	body := make([]byte, bodyHead+217)
	body[18], body[20] = 0x10, 65
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	copy(body[21:], private.PublicKey().Bytes())
	for i := range b.N {
		_, err = NewBrowserKeys(1, [16]byte{byte(i), byte(i >> 8)}).Decrypt(body)
	}
	if err != errDecrypt {
		b.Fatal(err)
	}
}
