package webpush

import (
	"context"
	"crypto/rand"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// service is a push service with habits of its own.
type service uint8

const (
	anyService service = iota
	apple
	windows
)

func serviceOf(origin string) service {
	u, err := url.Parse(origin)
	if err != nil {
		return anyService
	}
	switch host := strings.ToLower(u.Hostname()); {
	case strings.HasSuffix(host, ".push.apple.com"):
		return apple
	case strings.HasSuffix(host, ".notify.windows.com"):
		return windows
	}
	return anyService
}

// lane implements provider.Lane.
type lane struct {
	provider *Provider
	pool     *bulk.Pool
	key      *vapidKey
	origin   string
	service  service
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
	if _, err := l.provider.tokens.header(l.key, l.origin, time.Now()); err != nil {
		return err
	}
	return l.pool.Warm(ctx)
}

func (l *lane) Capacity() int { return l.pool.Capacity() }

func (l *lane) Send(b *provider.Batch) {
	token, err := l.provider.tokens.header(l.key, l.origin, time.Now())
	if err != nil { // the key was good when the lane was opened
		go provider.Settle(b, provider.Fault, provider.Detail{Reason: tocsin.ReasonCredential})
		return
	}
	l.pool.Submit(bulk.Work{Batch: b, Shape: l.shape(b.Headers, token), Pushes: &pushes{lane: l, batch: b}})
}

func (l *lane) Close(ctx context.Context) error { return l.pool.Close(ctx) }

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

// pushes writes the requests of one batch.
type pushes struct {
	lane  *lane
	batch *provider.Batch
}

// AppendPath appends the path and query as the service gave them. What is not
// an address of this lane is refused by AppendBody.
func (p *pushes) AppendPath(dst []byte, i int) []byte {
	s, ok := open(p.batch.Addresses[i], p.lane.origin)
	if !ok {
		return dst
	}
	return append(dst, s.path...)
}

func (p *pushes) AppendUnique(dst []byte, _ int) []byte { return dst }

func (p *pushes) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	s, ok := open(p.batch.Addresses[i], p.lane.origin)
	if !ok {
		return dst, tocsin.ReasonAddress
	}
	if len(p.batch.Payloads[i]) > maxText {
		return dst, tocsin.ReasonSize
	}
	own, err := p.lane.provider.pairs.take()
	if err != nil {
		return dst, tocsin.ReasonRender
	}
	var salt [saltLen]byte
	rand.Read(salt[:]) // never fails
	dst, err = appendEncrypted(dst, p.batch.Payloads[i], s, own, salt[:])
	if err != nil { // p256dh is no point of the curve
		return dst, tocsin.ReasonToken
	}
	return dst, 0
}

func (p *pushes) Judge(_ int, a *bulk.Answer) bulk.Verdict {
	v := judge(a)
	if v.Result == provider.Fault && !p.lane.refusals.Refused(p.lane.pool.Accepted(), 0) {
		// Others are accepted with the same token: it is this subscription,
		// made with another key, or a service that errs.
		v.Result, v.Detail.Reason = provider.Later, tocsin.ReasonTopic
	}
	return v
}
