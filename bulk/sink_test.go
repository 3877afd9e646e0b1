package bulk

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A sink is the least HTTP/2 server there can be: it answers every stream with
// 200 and an apns-id and decodes no header. It runs in a process of its own, so
// that its work is not counted as ours.

const sinkVariable = "BULK_TEST_SINK"

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" {
		runSink()
		return
	}
	os.Exit(m.Run())
}

func runSink() {
	certificate, der := selfSigned()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(l.Addr(), base64.StdEncoding.EncodeToString(der))
	go func() { // ends with the parent
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go sink(c, &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}, DynamicRecordSizingDisabled: true})
	}
}

func sink(raw net.Conn, cfg *tls.Config) {
	w := newWire(raw, &shelf[buffer]{most: 2})
	c := tls.Server(w, cfg)
	defer c.Close()
	if c.Handshake() != nil {
		return
	}
	w.gather()
	in := make([]byte, 0, 256<<10)
	out := appendFrame(nil, 6, frameSettings, 0, 0)
	out = binary.BigEndian.AppendUint16(out, settingStreams)
	out = binary.BigEndian.AppendUint32(out, 1000)
	out = appendWindowUpdate(out, 0, 1<<30)
	block := append([]byte{0x88, 0x0f, 0x2d, 36}, strings.Repeat("a", 36)...)
	greeted, window := false, 0
	for {
		if len(out) > 0 && w.start == w.end { // it has read all there is
			c.Write(out)
			if w.flush() != nil {
				return
			}
			out = out[:0]
		}
		n, err := c.Read(in[len(in):cap(in)])
		if err != nil {
			return
		}
		in = in[:len(in)+n]
		b := in
		if !greeted {
			if len(b) < len(preface) {
				continue
			}
			b, greeted = b[len(preface):], true
		}
		for len(b) >= frameHeader {
			length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
			if len(b) < frameHeader+length {
				break
			}
			switch b[3] {
			case frameSettings:
				if b[4]&flagAck == 0 {
					out = appendFrame(out, 0, frameSettings, flagAck, 0)
				}
			case framePing:
				out = append(appendFrame(out, 8, framePing, flagAck, 0), b[frameHeader:frameHeader+8]...)
			case frameData:
				window += length
				if b[4]&flagEndStream != 0 {
					stream := binary.BigEndian.Uint32(b[5:])
					out = append(appendFrame(out, len(block), frameHeaders, flagEndHeaders|flagEndStream, stream), block...)
				}
			}
			b = b[frameHeader+length:]
		}
		if window > 1<<28 {
			out = appendWindowUpdate(out, 0, uint32(window))
			window = 0
		}
		in = in[:copy(in[:cap(in)], b)]
	}
}

func selfSigned() (tls.Certificate, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost", "example.com"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, der
}

// startSink starts the process and a pool that leads to it.
func startSink(t testing.TB, cfg Config) *Pool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), sinkVariable+"=1")
	cmd.Stderr = os.Stderr
	in, _ := cmd.StdinPipe()
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
		if b, ok := t.(*testing.B); ok {
			used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			b.Logf("sink used %v of CPU in all runs", used)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	address, text, _ := strings.Cut(strings.TrimSpace(line), " ")
	der, _ := base64.StdEncoding.DecodeString(text)
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	p, err := New(cfg, Options{Origin: "https://" + address, TLS: &tls.Config{RootCAs: roots}, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(t.Context()) })
	return p
}
