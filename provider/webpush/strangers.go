package webpush

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
)

// Strangers bounds what origins can take that are neither those of known push
// services nor listed on the credential.
type Strangers struct {
	Bulk        bulk.Config // of each origin
	Connections int         // to all of them together
	Project     int         // to those of one project
}

func defaultStrangers() Strangers {
	s := Strangers{Bulk: bulk.Default(), Connections: 128, Project: 32}
	s.Bulk.Min, s.Bulk.Max = 0, 1
	s.Bulk.Streams, s.Bulk.Buffer = 100, 16<<10
	s.Bulk.DialTimeout, s.Bulk.AnswerTimeout, s.Bulk.IdleTimeout = 10*time.Second, 10*time.Second, time.Second
	return s
}

func (s Strangers) validate() error {
	if s.Project < 1 || s.Connections < s.Project {
		return errors.New("webpush: want at least 1 connection a project to strangers, and as many for all")
	}
	return s.Bulk.Validate()
}

// strangers dials hosts that strangers name, and counts.
type strangers struct {
	limits Strangers
	tokens tokens // apart, so that names in masses push no other token out
	lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)
	dialer net.Dialer

	mu       sync.Mutex
	open     int
	projects map[tocsin.ProjectID]int
	closed   chan struct{} // itself closed, and replaced, when a connection is
}

func newStrangers(limits Strangers) strangers {
	return strangers{
		limits: limits, lookup: net.DefaultResolver.LookupNetIP, dialer: net.Dialer{Control: control},
		projects: map[tocsin.ProjectID]int{}, closed: make(chan struct{}),
	}
}

// dial refuses a name when any of its addresses is not public. The dialer's
// hook then looks at what is really dialled, as the name may be bound anew.
func (s *strangers) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("webpush: dial: %w", err)
	}
	all, err := s.lookup(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	for _, a := range all {
		if !public(a.Unmap()) { // resolvers give IPv4 in either form
			return nil, errPrivate
		}
	}
	return s.dialer.DialContext(ctx, network, address)
}

var errCrowded = errors.New("webpush: as many connections to unknown push services as there may be")

// limited dials for a project once it and all have a connection to spare.
func (s *strangers) limited(project tocsin.ProjectID) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		for {
			wait := s.enter(project)
			if wait == nil {
				break
			}
			select {
			case <-wait:
			case <-ctx.Done():
				return nil, errCrowded
			}
		}
		c, err := s.dial(ctx, network, address)
		if err != nil {
			s.leave(project)
			return nil, err
		}
		return &counted{Conn: c, leave: sync.OnceFunc(func() { s.leave(project) })}, nil
	}
}

// enter counts a connection, or returns what to wait for.
func (s *strangers) enter(project tocsin.ProjectID) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.limits.Connections || s.projects[project] >= s.limits.Project {
		return s.closed
	}
	s.open++
	s.projects[project]++
	return nil
}

func (s *strangers) leave(project tocsin.ProjectID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open--
	if s.projects[project]--; s.projects[project] == 0 {
		delete(s.projects, project)
	}
	close(s.closed)
	s.closed = make(chan struct{})
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	leave func()
}

func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}
