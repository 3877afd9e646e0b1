package apns

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"strconv"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// lane implements provider.Lane.
type lane struct {
	provider *Provider
	pool     *bulk.Pool
	signer   *signer
	topic    string
	expiries bulk.Suspicion // young tokens that Apple called expired
	closing  sync.Once

	mu     sync.Mutex
	shapes []shape // newest last
}

// shape keeps the constant headers of a send, so that its batches share them.
type shape struct {
	headers provider.Headers
	token   *token
	shape   *bulk.Shape
}

func (l *lane) Warm(ctx context.Context) error {
	if _, err := l.signer.token(time.Now(), l.provider.cfg.Resign); err != nil {
		return err
	}
	return l.pool.Warm(ctx)
}

func (l *lane) Capacity() int { return l.pool.Capacity() }

func (l *lane) State() provider.State { return l.pool.State() }

func (l *lane) Send(b *provider.Batch) {
	t, err := l.signer.token(time.Now(), l.provider.cfg.Resign)
	if err != nil { // the key was good when the lane was opened
		t = &token{}
	}
	p := &pushes{lane: l, batch: b, token: t}
	var id [16]byte
	copy(id[:], b.ID[:])
	p.id = uuid(id)
	l.pool.Submit(bulk.Work{Batch: b, Shape: l.shape(b.Headers, t), Pushes: p})
}

func (l *lane) Close(ctx context.Context) error {
	err := l.pool.Close(ctx)
	l.closing.Do(func() { l.provider.unshare(l.signer) })
	return err
}

// shape returns the constant headers for a send. How each travels in HPACK is
// what Apple asks for.
func (l *lane) shape(h provider.Headers, t *token) *bulk.Shape {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.shapes {
		if s.headers == h && s.token == t {
			return s.shape
		}
	}
	kind, priority := "alert", "5"
	switch {
	case h.Background: // with 10 it is an error
		kind = "background"
	case h.Urgent:
		priority = "10"
	}
	s := &bulk.Shape{
		Headers: []bulk.Header{
			{Name: "authorization", Value: t.header, Policy: bulk.Literal},
			{Name: "apns-topic", Value: l.topic},
			{Name: "apns-push-type", Value: kind},
			{Name: "apns-priority", Value: priority},
		},
		Unique: "apns-id",
	}
	if !h.Expiry.IsZero() {
		s.Headers = append(s.Headers, bulk.Header{Name: "apns-expiration", Value: strconv.FormatInt(h.Expiry.Unix(), 10), Policy: bulk.NameOnly})
	}
	if h.Collapse != "" {
		s.Headers = append(s.Headers, bulk.Header{Name: "apns-collapse-id", Value: h.Collapse, Policy: bulk.NameOnly})
	}
	const most = 16
	if len(l.shapes) == most {
		l.shapes = append(l.shapes[:0], l.shapes[1:]...)
	}
	l.shapes = append(l.shapes, shape{h, t, s})
	return s
}

// pushes writes the requests of one batch.
type pushes struct {
	lane  *lane
	batch *provider.Batch
	token *token
	id    [36]byte // apns-id, its last 8 digits open
}

// maxToken bounds a device token; Apple asks not to assume a length.
const maxToken = 512

func (p *pushes) AppendPath(dst []byte, i int) []byte {
	return appendHex(append(dst, "/3/device/"...), p.batch.Addresses[i])
}

func (p *pushes) AppendUnique(dst []byte, i int) []byte {
	var index [4]byte
	binary.BigEndian.PutUint32(index[:], uint32(i))
	return appendHex(append(dst, p.id[:28]...), index[:])
}

func (p *pushes) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	if n := len(p.batch.Addresses[i]); n == 0 || n > maxToken {
		return dst, tocsin.ReasonToken
	}
	return append(dst, p.batch.Payloads[i]...), 0
}

func (p *pushes) Judge(_ int, a *bulk.Answer) bulk.Verdict {
	reason, timestamp := parse(a.Body)
	v := judge(a.Status, reason)
	switch v.then {
	case waitLong:
		v.Detail.RetryAfter = p.lane.provider.cfg.ServerError
	case renew:
		if !p.lane.signer.expired(p.token, time.Now()) && p.lane.expiries.Refused(p.lane.pool.Accepted(), 1) {
			v.Result, v.Detail.RetryAfter = provider.Fault, 0 // another token would not help: a clock is wrong
		}
	}
	if a.RetryAfter > 0 && v.Result == provider.Later {
		v.Detail.RetryAfter = a.RetryAfter
	}
	if v.Result == provider.Gone && timestamp > 0 {
		v.Detail.GoneAt = time.UnixMilli(timestamp)
	}
	return v.Verdict
}

// uuid is the text form 8-4-4-4-12 in lower case.
func uuid(id [16]byte) (text [36]byte) {
	b := text[:0]
	for i, from := range []int{0, 4, 6, 8, 10} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, id[from:[]int{4, 6, 8, 10, 16}[i]])
	}
	return text
}
