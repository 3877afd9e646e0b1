package webpush

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// service is a push service that is known, some with habits of their own.
type service uint8

const (
	unknown service = iota
	plain
	apple
	windows
)

// Known reports whether an origin is that of a push service of a browser, and
// whether it is one of many, known by the end of its name only.
func Known(origin string) (known, oneOfMany bool) {
	s := serviceOf(origin)
	return s != unknown, s == apple || s == windows
}

func serviceOf(origin string) service {
	u, err := url.Parse(origin)
	if err != nil {
		return unknown
	}
	switch host := strings.ToLower(u.Hostname()); {
	case host == "fcm.googleapis.com" || host == "android.googleapis.com" || host == "updates.push.services.mozilla.com":
		return plain
	case strings.HasSuffix(host, ".push.apple.com"):
		return apple
	case strings.HasSuffix(host, ".notify.windows.com"):
		return windows
	}
	return unknown
}

// lane implements provider.Lane.
type lane struct {
	provider *Provider
	pool     *bulk.Pool
	key      *vapidKey
	origin   string
	service  service
	stranger bool // its origin is neither known nor listed
	line     *line
	halts    atomic.Uint64 // rises when what came so far is halted
	refusals bulk.Suspicion

	mu     sync.Mutex
	shapes []shape // newest last
}

// shape keeps the constant headers of a send, so that its batches share them.
type shape struct {
	ttl     int64
	urgent  bool
	topic   string
	token   string
	headers *bulk.Shape
}

func (l *lane) Warm(ctx context.Context) error {
	if _, err := l.token(); err != nil {
		return err
	}
	return l.pool.Warm(ctx)
}

func (l *lane) Capacity() int { return l.pool.Capacity() }

func (l *lane) State() provider.State { return l.pool.State() }

func (l *lane) Send(b *provider.Batch) {
	token, err := l.token()
	if err != nil { // the key was good when the lane was opened
		go provider.Settle(b, provider.Fault, provider.Detail{Reason: tocsin.ReasonCredential})
		return
	}
	if len(b.Addresses) == 0 {
		l.pool.Submit(bulk.Work{Batch: b})
		return
	}
	l.line.add(l.newJob(b, l.shape(b.Headers, token)))
}

func (l *lane) Close(ctx context.Context) error {
	l.line.close()
	err := l.pool.Close(ctx)
	l.line.wait()
	return err
}

func (l *lane) token() (string, error) {
	if l.stranger {
		return l.provider.strangers.tokens.header(l.key, l.origin, time.Now())
	}
	return l.provider.tokens.header(l.key, l.origin, time.Now())
}

// shape returns the constant headers for a send (RFC 8030 5).
func (l *lane) shape(h provider.Headers, token string) *bulk.Shape {
	ttl := max(0, int64(h.TTL/time.Second))
	if l.service == apple {
		ttl = max(1, ttl) // 0 is BadTtl
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.shapes {
		if s.ttl == ttl && s.urgent == h.Urgent && s.topic == h.Collapse && s.token == token {
			return s.headers
		}
	}
	urgency := "normal"
	if h.Urgent {
		urgency = "high"
	}
	s := &bulk.Shape{Headers: []bulk.Header{
		{Name: "authorization", Value: token},
		{Name: "content-encoding", Value: "aes128gcm"},
		{Name: "content-type", Value: "application/octet-stream"},
		{Name: "ttl", Value: strconv.FormatInt(ttl, 10)},
		{Name: "urgency", Value: urgency},
	}}
	if h.Collapse != "" {
		s.Headers = append(s.Headers, bulk.Header{Name: "topic", Value: h.Collapse})
	}
	if l.service == windows && ttl == 0 { // else it conflicts with the default of X-WNS-Cache-Policy
		s.Headers = append(s.Headers, bulk.Header{Name: "x-wns-cache-policy", Value: "no-cache"})
	}
	const most = 16
	if len(l.shapes) == most {
		l.shapes = append(l.shapes[:0], l.shapes[1:]...)
	}
	l.shapes = append(l.shapes, shape{ttl, h.Urgent, h.Collapse, token, s})
	return s
}
