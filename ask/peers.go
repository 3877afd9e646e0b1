package ask

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Limits of what passes between processes.
const (
	mostQuestion = 16 << 20 // bytes
	mostPiece    = 64 << 20 // bytes of an answer, or of one piece of a long one
	mostTime     = 10 * time.Minute
	mostAtOnce   = 1024 // questions that a process answers
	reach        = time.Second
)

// The paths are of version 1; the header tells how many milliseconds the asker waits.
const (
	pathPrefix    = "/v1/"
	timeoutHeader = "Tocsin-Timeout"
)

// notHere: the process has not begun with a question, and why.
type notHere string

func (n notHere) Error() string { return "ask: " + string(n) }

// brokenOff: a question was asked, and no whole answer came.
type brokenOff struct{ error }

// Peers asks other processes, over HTTP/2 on mutual TLS; no more than a few
// connections to each. Any number may call it at once.
type Peers struct{ client http.Client }

// NewPeers shows a certificate, and believes those of the same authority. dial
// connects; nil is TCP.
func NewPeers(c *Certificates, dial func(ctx context.Context, network, address string) (net.Conn, error)) *Peers {
	if dial == nil {
		dial = (&net.Dialer{Timeout: reach}).DialContext
	}
	return &Peers{http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				conn, err := dial(ctx, network, address)
				if err != nil {
					return nil, notHere("its process cannot be reached")
				}
				return conn, nil
			},
			TLSClientConfig: c.client(), TLSHandshakeTimeout: reach, ForceAttemptHTTP2: true,
			MaxConnsPerHost: 4, IdleConnTimeout: time.Minute, DisableCompression: true,
			HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
		}}}
}

// Close ends idle connections.
func (p *Peers) Close() { p.client.CloseIdleConnections() }

// ask puts a question to a process. some takes the pieces of a long answer, and
// returns false when it needs no more.
func (p *Peers) ask(ctx context.Context, at Process, seat Seat, body []byte, some func([]Outcome) bool) (json.RawMessage, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+at.Address+pathPrefix+string(seat), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.GetBody = nil // asked once
	left := mostTime
	if deadline, ok := ctx.Deadline(); ok {
		left = min(left, time.Until(deadline))
	}
	r.Header.Set(timeoutHeader, strconv.FormatInt(left.Milliseconds(), 10))
	response, err := p.client.Do(r)
	if err != nil {
		return nil, p.failed(ctx, err)
	}
	defer response.Body.Close()
	in := &pieces{from: response.Body}
	if response.StatusCode != http.StatusOK {
		in.left = 1 << 10
		text, _ := io.ReadAll(io.LimitReader(in, in.left))
		if response.StatusCode == http.StatusMisdirectedRequest || response.StatusCode == http.StatusServiceUnavailable {
			return nil, notHere(strings.TrimSpace(string(text)))
		}
		return nil, fmt.Errorf("ask: another process refuses a question: %s: %.200q", response.Status, text)
	}
	for d := json.NewDecoder(in); ; {
		in.left = mostPiece
		var one reply
		switch err := d.Decode(&one); {
		case err != nil && ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			return nil, brokenOff{fmt.Errorf("ask: an answer broke off: %w", err)}
		case one.Failed != "":
			return nil, fmt.Errorf("ask: another process: %s", one.Failed)
		case one.Answer != nil:
			return one.Answer, nil
		case some != nil && !some(one.Some):
			return nil, nil
		}
	}
}

// failed tells a question that was not asked from one without an answer.
func (p *Peers) failed(ctx context.Context, err error) error {
	var not notHere
	var record tls.RecordHeaderError
	var wrong *tls.CertificateVerificationError
	var refused tls.AlertError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &not):
		return not
	case errors.As(err, &record), errors.As(err, &wrong), errors.As(err, &refused):
		return notHere("its process has no certificate of this installation, or refuses ours")
	}
	return brokenOff{err}
}

// pieces bounds what is read until left is set anew.
type pieces struct {
	from io.Reader
	left int64
}

func (p *pieces) Read(b []byte) (int, error) {
	if p.left <= 0 {
		return 0, errors.New("ask: an answer is too large")
	}
	n, err := p.from.Read(b[:min(int64(len(b)), p.left)])
	p.left -= int64(n)
	return n, err
}
