package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Config says where a node is and who calls.
type Config struct {
	URL     string           // such as http://127.0.0.1:8090
	Key     string           // API key, or the device key for the device API
	Project tocsin.ProjectID // with a key of the platform: the project to act for
	HTTP    *http.Client     // http.DefaultClient when nil; should have no Timeout, which would cut streams
	Retries int              // of requests that may be repeated; 0 is 4, below 0 none
}

// Client calls the API. Its methods may be called at once. Errors that the
// server answered are *Problem.
type Client struct {
	base    string
	key     string
	project string
	http    *http.Client
	retries int
}

// New checks the configuration; it calls nobody.
func New(c Config) (*Client, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("client: %q is no http or https address", c.URL)
	}
	out := &Client{base: strings.TrimRight(c.URL, "/"), key: c.Key, project: c.Project.String(), http: c.HTTP, retries: c.Retries}
	if out.http == nil {
		out.http = http.DefaultClient
	}
	if out.retries == 0 {
		out.retries = 4
	}
	return out, nil
}

// call is one request.
type call struct {
	method string
	path   string
	query  url.Values
	header http.Header
	body   any  // encoded as JSON; nil none
	once   bool // must not be repeated: a repetition would do something twice
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// do makes a request, repeats it when that is safe and may help, and decodes
// the answer into out unless that is nil.
func (c *Client) do(ctx context.Context, call call, out any) error {
	var body []byte
	if call.body != nil {
		var err error
		if body, err = json.Marshal(call.body); err != nil {
			return fmt.Errorf("client: %w", err)
		}
	}
	for try := 0; ; try++ {
		err := c.attempt(ctx, call, body, out)
		if err == nil || call.once || try >= c.retries || !worthRepeating(err) || ctx.Err() != nil {
			return err
		}
		if err := sleep(ctx, pause(try, err)); err != nil {
			return err
		}
	}
}

func (c *Client) attempt(ctx context.Context, call call, body []byte, out any) error {
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	header := call.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if body != nil {
		header.Set("Content-Type", "application/json")
	}
	response, err := c.open(ctx, call.method, call.path, call.query, header, reader)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if out == nil {
		_, err := io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswer))
		return err
	}
	return decode(response.Body, out)
}

func decode(body io.Reader, out any) error {
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("client: the answer is not what was asked for: %w", err)
	}
	return nil
}

// open sends a request and returns the answer, or the *Problem in it.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, header http.Header, body io.Reader) (*http.Response, error) {
	target := c.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, body)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	request.Header = header
	request.Header.Set("User-Agent", "tocsin-client")
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.project != "" {
		request.Header.Set("Tocsin-Project", c.project)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if response.StatusCode < 300 {
		return response, nil
	}
	defer response.Body.Close()
	return nil, problem(response)
}

func problem(response *http.Response) error {
	p := &Problem{}
	data, _ := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if json.Unmarshal(data, p) != nil || p.Status == 0 {
		// Not ours: a proxy in between, or another server.
		p = &Problem{Title: http.StatusText(response.StatusCode), Status: response.StatusCode}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		p.RetryAfter = time.Duration(seconds) * time.Second
	}
	return p
}

// worthRepeating: the connection failed, the server asked to come again, or
// another request with the same idempotency key is under way.
func worthRepeating(err error) bool {
	var p *Problem
	if !errors.As(err, &p) {
		return true
	}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return p.Code == "idempotency_running"
}

// pause grows from 100 ms to 5 s, drawn from its upper half, unless the server
// named one.
func pause(try int, err error) time.Duration {
	var p *Problem
	if errors.As(err, &p) && p.RetryAfter > 0 {
		return min(p.RetryAfter, time.Minute)
	}
	most := min(100*time.Millisecond<<min(try, 10), 5*time.Second)
	return most/2 + mathrand.N(most/2)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newKey makes an idempotency key that nobody else has.
func newKey() string { return rand.Text() }
