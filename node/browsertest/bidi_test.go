//go:build browser

package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
)

// tab drives one tab of a browser: the part of WebDriver BiDi that a test of a
// page needs (https://www.w3.org/TR/webdriver-bidi/).
type tab struct {
	socket  *websocket.Conn
	context string // of the tab

	mu      sync.Mutex
	last    int
	waiting map[int]chan<- answer
	broken  error
	log     []string // what pages wrote to their console
}

// answer is a message of the browser (section 4.2): a result, an error or an event.
type answer struct {
	Type    string          `json:"type"`
	ID      int             `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	} `json:"params"`
}

// openTab takes the first tab of the browser that listens at a URL.
func openTab(ctx context.Context, t *testing.T, url string) *tab {
	socket, _, err := websocket.Dial(ctx, url+"/session", nil)
	if err != nil {
		t.Fatalf("WebDriver BiDi: %v", err)
	}
	socket.SetReadLimit(16 << 20)
	b := &tab{socket: socket, waiting: make(map[int]chan<- answer)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read()
	}()
	t.Cleanup(func() {
		socket.CloseNow()
		<-done
		if t.Failed() {
			t.Logf("the page's log:\n%s", strings.Join(b.log, "\n"))
		}
	})
	var tree struct {
		Contexts []struct {
			Context string `json:"context"`
		} `json:"contexts"`
	}
	for _, step := range []struct {
		method string
		params any
		out    any
	}{
		{"session.new", map[string]any{"capabilities": map[string]any{}}, nil},
		{"session.subscribe", map[string]any{"events": []string{"log.entryAdded"}}, nil},
		{"browsingContext.getTree", map[string]any{}, &tree},
	} {
		if err := b.command(ctx, step.method, step.params, step.out); err != nil {
			t.Fatal(err)
		}
	}
	if len(tree.Contexts) == 0 {
		t.Fatal("Firefox has no tab")
	}
	b.context = tree.Contexts[0].Context
	return b
}

// read hands answers to those who wait for them, until the socket closes.
func (b *tab) read() {
	for {
		var m answer
		err := wsjson.Read(context.Background(), b.socket, &m)
		b.mu.Lock()
		switch {
		case err != nil:
			b.broken = err
			for _, wait := range b.waiting {
				close(wait)
			}
			b.waiting = nil
		case m.Type == "event":
			b.log = append(b.log, m.Params.Level+": "+m.Params.Text)
		case b.waiting[m.ID] != nil:
			b.waiting[m.ID] <- m
			delete(b.waiting, m.ID)
		}
		b.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// command waits for the browser's answer to one command.
func (b *tab) command(ctx context.Context, method string, params, out any) error {
	wait := make(chan answer, 1)
	b.mu.Lock()
	if b.broken != nil {
		b.mu.Unlock()
		return fmt.Errorf("%s: %w", method, b.broken)
	}
	b.last++
	id := b.last
	b.waiting[id] = wait
	b.mu.Unlock()
	if err := wsjson.Write(ctx, b.socket, map[string]any{"id": id, "method": method, "params": params}); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	select {
	case got, whole := <-wait:
		switch {
		case !whole:
			return fmt.Errorf("%s: the browser has closed the session", method)
		case got.Type != "success":
			return fmt.Errorf("%s: %s: %s", method, got.Error, got.Message)
		case out == nil:
			return nil
		}
		return json.Unmarshal(got.Result, out)
	case <-ctx.Done():
		return fmt.Errorf("%s: %w", method, ctx.Err())
	}
}

// open loads a page, its scripts included.
func (b *tab) open(ctx context.Context, url string) error {
	return b.command(ctx, "browsingContext.navigate", map[string]any{"context": b.context, "url": url, "wait": "complete"}, nil)
}

// call runs one of the page's functions, as if the person had just clicked, and
// waits for what it promises. An error is what the page threw.
func (b *tab) call(ctx context.Context, function string, out any, arguments ...any) error {
	if arguments == nil {
		arguments = []any{}
	}
	text, err := json.Marshal(arguments)
	if err != nil {
		return err
	}
	type value struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	var got struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err = b.command(ctx, "script.callFunction", map[string]any{
		"functionDeclaration": `async (name, list) => JSON.stringify(await site[name](...JSON.parse(list)) ?? null)`,
		"arguments":           []value{{"string", function}, {"string", string(text)}},
		"target":              map[string]any{"context": b.context}, "awaitPromise": true, "userActivation": true}, &got)
	switch {
	case err != nil:
		return fmt.Errorf("page's %s: %w", function, err)
	case got.Type != "success":
		return fmt.Errorf("page's %s: %s", function, got.ExceptionDetails.Text)
	case out == nil:
		return nil
	}
	return json.Unmarshal([]byte(got.Result.Value), out)
}
