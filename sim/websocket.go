package sim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// browserMessage is any message of Firefox's push protocol over WebSocket.
type browserMessage struct {
	Type       string            `json:"messageType,omitempty"`
	Status     int               `json:"status,omitempty"`
	Agent      *string           `json:"uaid,omitempty"`
	UseWebPush bool              `json:"use_webpush,omitempty"`
	Channel    string            `json:"channelID,omitempty"`
	Key        string            `json:"key,omitempty"`
	Endpoint   string            `json:"pushEndpoint,omitempty"`
	Version    string            `json:"version,omitempty"`
	TTL        *int              `json:"ttl,omitempty"`
	Data       string            `json:"data,omitempty"`
	Headers    map[string]string `json:"headers,omitempty"`
	Code       int               `json:"code,omitempty"`
	Updates    []struct {
		Channel string `json:"channelID"`
		Version string `json:"version"`
		Code    int    `json:"code"`
	} `json:"updates,omitempty"`
}

// browserEndpoint is the service that a browser's push manager connects to
// (dom.push.serverURL).
type browserEndpoint struct {
	browsers *browsers
	ctx      context.Context // ends every connection

	mu      sync.Mutex
	running sync.WaitGroup
	stopped bool
}

// enter counts a connection, unless the service stops.
func (e *browserEndpoint) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.stopped {
		e.running.Add(1)
	}
	return !e.stopped
}

// stop returns when every connection has ended; e.ctx must have.
func (e *browserEndpoint) stop() {
	e.mu.Lock()
	e.stopped = true
	e.mu.Unlock()
	e.running.Wait()
}

func (e *browserEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !e.enter() {
		return
	}
	defer e.running.Done()
	// A browser sends its own origin, or none; the service is for any of them.
	socket, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"push-notification"}, InsecureSkipVerify: true})
	if err != nil {
		return // Accept has answered
	}
	defer socket.CloseNow()
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	out := make(chan []byte, 64)
	written := make(chan struct{})
	e.running.Go(func() {
		defer close(written)
		defer cancel()
		for {
			select {
			case frame := <-out:
				if socket.Write(ctx, websocket.MessageText, frame) != nil {
					select { // for the next connection
					case out <- frame:
					default:
					}
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	if a := e.read(ctx, socket, out); a != nil {
		cancel()
		<-written
		e.browsers.leave(a, out)
	}
}

// read answers a browser until it goes, and tells who it was.
func (e *browserEndpoint) read(ctx context.Context, socket *websocket.Conn, out chan []byte) (a *agent) {
	for {
		_, text, err := socket.Read(ctx)
		if err != nil {
			return a
		}
		var m browserMessage
		if json.Unmarshal(text, &m) != nil {
			socket.Close(websocket.StatusPolicyViolation, "not JSON")
			return a
		}
		var answer *browserMessage
		switch {
		case m.Type == "hello":
			id := ""
			if m.Agent != nil {
				id = *m.Agent
			}
			a = e.browsers.hello(id, out)
			answer = &browserMessage{Type: "hello", Status: 200, Agent: &a.id, UseWebPush: true}
		case strings.TrimSpace(string(text)) == "{}":
			answer = &browserMessage{} // keep-alive
		case a == nil:
			socket.Close(websocket.StatusPolicyViolation, "hello comes first")
			return nil
		default:
			answer = e.answer(a, &m)
		}
		if answer == nil {
			continue
		}
		frame, err := json.Marshal(answer)
		if err != nil {
			return a
		}
		select {
		case out <- frame:
		case <-ctx.Done():
		}
		if m.Type == "hello" {
			e.browsers.resume(a)
		}
	}
}

func (e *browserEndpoint) answer(a *agent, m *browserMessage) *browserMessage {
	switch m.Type {
	case "register":
		key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(m.Key, "="))
		if err != nil || len(key) != 0 && len(key) != 65 {
			return &browserMessage{Type: "register", Status: 400, Channel: m.Channel}
		}
		return &browserMessage{Type: "register", Status: 200, Channel: m.Channel, Endpoint: e.browsers.register(a, m.Channel, key)}
	case "unregister":
		e.browsers.unregister(a, m.Channel)
		return &browserMessage{Type: "unregister", Status: 200, Channel: m.Channel}
	case "ack":
		var acks []Ack
		for _, u := range m.Updates {
			acks = append(acks, Ack{time.Now(), u.Channel, u.Version, u.Code})
		}
		e.browsers.acknowledge(acks)
	case "nack":
		e.browsers.acknowledge([]Ack{{time.Now(), "", m.Version, m.Code}})
	}
	return nil // broadcasts and the like are not served
}
