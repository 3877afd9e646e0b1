package sim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxStored bounds the notifications that wait for a browser to come back.
const maxStored = 1000

// browsers are the real browsers that registered through the WebSocket
// protocol, and their subscriptions. They outlive their connections.
type browsers struct {
	origin string // of the Web Push service
	any    atomic.Bool

	mu      sync.Mutex
	agents  map[string]*agent
	byID    map[[16]byte]*browser
	removed map[[16]byte]bool
	acks    []Ack
}

// agent is one browser profile.
type agent struct {
	id     string
	out    chan<- []byte // to its connection; nil while there is none
	stored [][]byte
}

// browser is one subscription of an agent.
type browser struct {
	browsers *browsers
	agent    *agent
	channel  string
	key      []byte // applicationServerKey, when it subscribed with one
}

// Ack is what a browser said of a notification: code 100 delivered, 101 it
// could not be decrypted, 102 not delivered for another reason.
type Ack struct {
	At      time.Time `json:"at"`
	Channel string    `json:"channel"`
	Version string    `json:"version"`
	Code    int       `json:"code"`
}

// find returns the subscription of a browser, or whether it is gone.
func (b *browsers) find(id [16]byte) (_ *browser, gone bool) {
	if !b.any.Load() {
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.byID[id], b.removed[id]
}

// hello takes a connection: of a known browser, or of a new one.
func (b *browsers) hello(id string, out chan<- []byte) *agent {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.agents[id]
	if a == nil {
		a = &agent{id: fmt.Sprintf("%x", newID())}
		b.agents[a.id] = a
	}
	a.out = out
	return a
}

// resume sends what waited for the browser, after its hello was answered.
func (b *browsers) resume(a *agent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stored := a.stored
	a.stored = nil
	for _, frame := range stored {
		a.send(frame)
	}
}

// leave ends a connection whose writer has stopped; what it did not write waits.
func (b *browsers) leave(a *agent, out chan []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.out == out {
		a.out = nil
	}
	for {
		select {
		case frame := <-out:
			a.send(frame)
		default:
			return
		}
	}
}

// send queues a frame, or stores it while the browser is away or slow.
func (a *agent) send(frame []byte) {
	if a.out != nil {
		select {
		case a.out <- frame:
			return
		default:
		}
	}
	if len(a.stored) < maxStored {
		a.stored = append(a.stored, frame)
	}
}

func newID() (id [16]byte) {
	rand.Read(id[:])
	return id
}

// register makes an endpoint for a channel and returns its URL.
func (b *browsers) register(a *agent, channel string, key []byte) string {
	id := newID()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.byID[id] = &browser{browsers: b, agent: a, channel: channel, key: key}
	b.any.Store(true)
	return b.origin + EndpointPath(id)
}

func (b *browsers) unregister(a *agent, channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, s := range b.byID {
		if s.agent == a && s.channel == channel {
			delete(b.byID, id)
			b.removed[id] = true
		}
	}
}

func (b *browsers) acknowledge(acks []Ack) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acks = append(b.acks, acks...)
}

// all returns what browsers said so far.
func (b *browsers) all() []Ack {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Ack{}, b.acks...)
}

// deliver hands an encrypted message to the browser.
func (s *browser) deliver(message [16]byte, body []byte, ttl int) {
	frame, err := json.Marshal(browserMessage{Type: "notification", Channel: s.channel, TTL: &ttl,
		Version: base64.RawURLEncoding.EncodeToString(message[:]), Data: base64.RawURLEncoding.EncodeToString(body),
		Headers: map[string]string{"encoding": "aes128gcm"}})
	if err != nil {
		return // texts and numbers always encode
	}
	s.browsers.mu.Lock()
	defer s.browsers.mu.Unlock()
	s.agent.send(frame)
}
