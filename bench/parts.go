package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// Parts that a child plays.
const (
	partWire = "part-wire"
	partSim  = "part-sim"
	partNode = "part-node"
)

// wireReady is what the wire server says when it listens.
type wireReady struct {
	Address string `json:"address"`
	Root    string `json:"root"` // PEM
}

// tls trusts that server alone.
func (r *wireReady) tls() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(r.Root))
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
}

// playPart says on standard output when it is ready, and ends with ctx.
func playPart(ctx context.Context, part string, args []string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	ready := json.NewEncoder(os.Stdout)
	switch part {
	case partWire:
		return playWire(ctx, ready)
	case partSim:
		return playSim(ctx, args, ready, log)
	case partNode:
		return playNode(ctx, args, ready, log)
	}
	return fmt.Errorf("no part %q", part)
}

func playSim(ctx context.Context, args []string, ready *json.Encoder, log *slog.Logger) error {
	projects, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	config := sim.Default()
	config.Projects, config.FCM.Quota = projects, 0 // quotas are what quota measures
	s, err := sim.Start(config, log)
	if err != nil {
		return err
	}
	defer s.Stop()
	if err := ready.Encode(s.Setup()); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

func playNode(ctx context.Context, args []string, ready *json.Encoder, log *slog.Logger) error {
	config := node.Default()
	config.Dir, config.Listen = args[0], "127.0.0.1:0"
	return node.Run(ctx, config, log, func(up node.Up) { ready.Encode(nodeReady{up.URL, up.AdminKeyFile}) })
}

func playWire(ctx context.Context, ready *json.Encoder) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	loopback := net.IPv4(127, 0, 0, 1)
	self := &x509.Certificate{SerialNumber: big.NewInt(1), IPAddresses: []net.IP{loopback}, NotAfter: time.Now().Add(2 * runLimit)}
	der, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	if err != nil {
		return err
	}
	listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: loopback})
	if err != nil {
		return err
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := ready.Encode(wireReady{listener.Addr().String(), string(root)}); err != nil {
		return err
	}
	return serveWire(ctx, listener, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
}
