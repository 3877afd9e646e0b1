package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/tocsin-push/tocsin/ask"
)

// Peers is how the processes of an installation ask each other: over mutual TLS, on
// a listener of its own. Without any there is one process.
type Peers struct {
	Listen        string // host:port
	Address       string // host:port where others reach it; empty: Listen
	Cert, Key, CA string // PEM files, see ask.OpenCertificates
}

// Validate says what is wrong with the settings.
func (p Peers) Validate() error {
	if p == (Peers{}) {
		return nil
	}
	if p.Listen == "" || p.Cert == "" || p.Key == "" || p.CA == "" {
		return errors.New("node: to ask and answer others a process needs an address to listen on, a certificate, its key and the authority that signed it")
	}
	host, _, err := net.SplitHostPort(p.Listen)
	if err != nil {
		return fmt.Errorf("node: address for other processes: %w", err)
	}
	if ip := net.ParseIP(host); p.Address == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return fmt.Errorf("node: %s is no address at which others reach this process: name that too", p.Listen)
	}
	if p.Address != "" {
		if _, _, err := net.SplitHostPort(p.Address); err != nil {
			return fmt.Errorf("node: address at which others reach this process: %w", err)
		}
	}
	return nil
}

// meet answers other processes, and finds who answers for each shard.
func (n *node) meet() error {
	seats, c := ask.NewSeats(n.store, time.Now), n.config.Peers
	if c == (Peers{}) {
		n.shards = ask.NewNetwork(n.local, seats, nil).Shards(n.config.Shards)
		return nil
	}
	shown, err := ask.OpenCertificates(c.Cert, c.Key, c.CA, n.log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.process = ask.Process{Address: c.Address, Incarnation: incarnation()}
	if c.Address == "" {
		n.process.Address = listener.Addr().String()
	}
	peers := ask.NewPeers(shown, nil)
	n.parts.onEnd(peers.Close)
	n.parts.start("peers", func(ctx context.Context) error { return ask.Serve(ctx, listener, shown, n.local, n.log) })
	n.shards = ask.NewNetwork(n.local, seats, peers).Shards(n.config.Shards)
	return nil
}

// sits tells other processes, if there may be any, that this one answers for a seat.
func (n *node) sits(parts *stages, seat ask.Seat) {
	if n.process.Address == "" {
		return
	}
	parts.start("seat", func(ctx context.Context) error {
		ask.Sit(ctx, n.store, time.Now, n.log, n.process, seat)
		return nil
	})
}
