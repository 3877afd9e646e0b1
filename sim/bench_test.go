package sim

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
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

	"golang.org/x/net/http2"
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

// flood is a connection that only writes frames built beforehand: batches of
// the same requests whose tokens and stream numbers are written over.
type flood struct {
	tls     *tls.Conn
	first   []byte // one request that fills the header table
	request []byte // the others
	token   int    // offset of 16 hex digits of the token in request
}

func newFlood(b *testing.B, roots *x509.CertPool, origin string, headers []hpack.HeaderField, token, body string) *flood {
	b.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(origin, "https://"), &tls.Config{RootCAs: roots, NextProtos: []string{"h2"},
		DynamicRecordSizingDisabled: true})
	if err != nil {
		b.Fatal(err)
	}
	f := &flood{tls: c}
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	build := func() []byte {
		block.Reset()
		for _, h := range headers {
			// What differs by push is written out, so that it can be written over.
			switch h.Name {
			case ":path":
				block.WriteString("\x04" + string(rune(len(h.Value))) + h.Value)
			case "apns-id":
				block.Write(appendHeader(nil, h.Name, h.Value))
			default:
				encoder.WriteField(h)
			}
		}
		frames := appendFrameHead(nil, block.Len(), frameHeaders, flagEndHeaders, 0)
		frames = append(frames, block.String()...)
		return append(appendFrameHead(frames, len(body), frameData, flagEndStream, 0), body...)
	}
	f.first = build()
	f.request = build()
	f.token = strings.Index(string(f.request), token)
	return f
}

// run sends n requests from number `from`, at most `window` unanswered.
func (f *flood) run(from, n, window int) error {
	if _, err := io.WriteString(f.tls, http2.ClientPreface+string(appendWindowUpdate(appendSettings(nil), 0, 1<<30))); err != nil {
		return err
	}
	in := bufio.NewReaderSize(f.tls, 1<<16)
	answered := make(chan int, 1<<16)
	failed := make(chan error, 1)
	go func() { failed <- f.answers(in, n, answered) }()
	stream, sent, done := uint32(1), 0, 0
	batch := make([]byte, 0, window*len(f.request))
	for done < n {
		batch = batch[:0]
		template := f.request
		limit := min(window/2, n-sent, window-(sent-done))
		if sent == 0 {
			template, limit = f.first, 1 // alone: it opens the stream limit
		}
		for range limit {
			start := len(batch)
			batch = append(batch, template...)
			frame := batch[start:]
			if sent > 0 && f.token > 0 {
				digits := frame[f.token : f.token+16]
				for i, v := 15, from+sent; v > 0; i, v = i-1, v>>4 {
					digits[i] = hexDigits[v&15]
				}
			}
			binary.BigEndian.PutUint32(frame[5:], stream)
			length := int(frame[0])<<16 | int(frame[1])<<8 | int(frame[2])
			binary.BigEndian.PutUint32(frame[frameHead+length+5:], stream)
			stream += 2
			sent++
		}
		if len(batch) > 0 {
			if _, err := f.tls.Write(batch); err != nil {
				return err
			}
		}
		select {
		case more, ok := <-answered:
			if !ok {
				return <-failed
			}
			done += more
		case err := <-failed:
			return err
		}
	}
	return nil
}

// answers counts streams that ended, and refuses anything but good answers.
func (f *flood) answers(in *bufio.Reader, n int, answered chan<- int) error {
	count := 0
	for total := 0; total < n; {
		head, err := in.Peek(frameHead)
		if err != nil {
			return err
		}
		length := int(head[0])<<16 | int(head[1])<<8 | int(head[2])
		kind, flags := head[3], head[4]
		frame, err := in.Peek(frameHead + length)
		if err != nil {
			return err
		}
		switch kind {
		case frameHeaders:
			if frame[frameHead] != 0x88 && string(frame[frameHead:frameHead+5]) != "\x08\x03201" {
				return fmt.Errorf("answer %q", frame)
			}
		case frameReset, frameGoAway:
			return fmt.Errorf("frame %q", frame)
		}
		if (kind == frameHeaders || kind == frameData) && flags&flagEndStream != 0 {
			total++
			count++
		}
		in.Discard(frameHead + length)
		if in.Buffered() < frameHead && count > 0 {
			answered <- count
			count = 0
		}
	}
	if count > 0 {
		answered <- count
	}
	return nil
}

// measure floods a child over connections and reports its CPU time.
func measure(b *testing.B, c *child, dial func(n int) *flood, connections, window int) {
	floods := make([]*flood, connections)
	for i := range floods {
		floods[i] = dial(i)
	}
	before := c.cpu(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	each := b.N/connections + 1
	for i, f := range floods {
		wg.Go(func() {
			if err := f.run(i*each, each, window); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	used := c.cpu(b) - before
	r, err := http.Get(c.setup.Control + "/ledger")
	if err != nil {
		b.Fatal(err)
	}
	var accounts map[tocsin.Provider]Account
	if err := json.NewDecoder(r.Body).Decode(&accounts); err != nil {
		b.Fatal(err)
	}
	pushes := each * connections
	for _, a := range accounts {
		// The first of each connection leaves with the token of the template.
		if a.Accepted != pushes || a.Distinct < pushes-connections {
			b.Errorf("ledger %+v, want %d accepted", a, pushes)
		}
	}
	b.ReportMetric(used.Seconds()/float64(pushes)*1e6, "server-CPU-s/M")
	b.ReportMetric(float64(pushes)/b.Elapsed().Seconds(), "pushes/s")
}

// BenchmarkAPNs is the cost of an answered push with its ledger record, with
// about 330 bytes up and 56 down. Run it with -benchtime=2000000x.
func BenchmarkAPNs(b *testing.B) {
	c := startChild(b)
	bearer := c.apnsToken(b, time.Now())
	account := c.account(tocsin.APNs)
	measure(b, c, func(int) *flood {
		return newFlood(b, c.Roots(), account.Endpoints[0].Origin, []hpack.HeaderField{{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"}, {Name: ":path", Value: "/3/device/" + strings.Repeat("0", 64)}, {Name: ":authority", Value: "localhost"},
			{Name: "authorization", Value: "bearer " + bearer}, {Name: "apns-topic", Value: Topic(0)},
			{Name: "apns-push-type", Value: "alert"}, {Name: "apns-priority", Value: "10"}, {Name: "apns-expiration", Value: "1999999999"},
			{Name: "apns-collapse-id", Value: "bench"}, {Name: "apns-id", Value: "6c0dd2ca-5a03-4f3a-9dd4-c3a4a2b6f001"},
		}, strings.Repeat("0", 64), `{"aps":{"alert":{"title":"`+strings.Repeat("t", 50)+`","body":"`+strings.Repeat("b", 110)+`"}}}`)
	}, 4, 1000)
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
