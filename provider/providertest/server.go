package providertest

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/tocsin-push/tocsin/provider"
)

// Request is one request that a Server got.
type Request struct {
	Path   string
	Header http.Header
	Body   []byte
}

// Server stands in for a push service: HTTP/2 over TLS on loopback.
type Server struct {
	Endpoint provider.Endpoint

	server *httptest.Server
	mu     sync.Mutex
	came   sync.Cond // another request
	freed  sync.Cond // held may be false
	got    []Request
	held   bool
	answer func(w http.ResponseWriter, r Request)
}

// NewServer starts a server that answers every request with answer.
func NewServer(t testing.TB, answer func(w http.ResponseWriter, r Request)) *Server {
	t.Helper()
	s := &Server{answer: answer}
	s.came.L, s.freed.L = &s.mu, &s.mu
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	s.server.EnableHTTP2 = true
	s.server.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 5000}
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0) // connections are cut on purpose
	s.server.StartTLS()
	t.Cleanup(func() {
		s.Hold(false)
		s.server.CloseClientConnections()
		s.server.Close()
	})
	s.Endpoint = provider.Endpoint{
		Origin: s.server.URL,
		Root:   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}),
	}
	return s
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	request := Request{Path: r.URL.RequestURI(), Header: r.Header, Body: body}
	s.mu.Lock()
	s.got = append(s.got, request)
	s.came.Broadcast()
	for s.held {
		s.freed.Wait()
	}
	answer := s.answer
	s.mu.Unlock()
	answer(w, request)
}

// Answer replaces how requests are answered.
func (s *Server) Answer(answer func(w http.ResponseWriter, r Request)) {
	s.mu.Lock()
	s.answer = answer
	s.mu.Unlock()
}

// Hold keeps answers back, or lets them go.
func (s *Server) Hold(held bool) {
	s.mu.Lock()
	s.held = held
	s.freed.Broadcast()
	s.mu.Unlock()
}

// Await returns when at least n requests came.
func (s *Server) Await(n int) {
	s.mu.Lock()
	for len(s.got) < n {
		s.came.Wait()
	}
	s.mu.Unlock()
}

// Requests returns what came so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Request(nil), s.got...)
}

// Forget drops what came so far.
func (s *Server) Forget() {
	s.mu.Lock()
	s.got = nil
	s.mu.Unlock()
}

// Cut closes every connection at once.
func (s *Server) Cut() { s.server.CloseClientConnections() }
