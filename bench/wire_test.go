package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"
)

// A wire run moves exactly the bytes of its pushes, whatever their number.
func TestWireRunAnswersEveryRequest(t *testing.T) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	said := make(chan wireReady, 1)
	ended := make(chan error, 1)
	go func() { ended <- playWire(ctx, json.NewEncoder(readyTo(said))) }()
	var server *wireServer
	select {
	case ready := <-said:
		server = &wireServer{address: ready.Address, tls: ready.tls()}
	case err := <-ended:
		t.Fatal(err)
	}
	for _, n := range []int{1, 3, 4, 1001, 50_000} {
		if _, err := runWire(ctx, server.address, server.tls, n); err != nil {
			t.Errorf("%d pushes: %v", n, err)
		}
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

type readyTo chan<- wireReady

func (c readyTo) Write(b []byte) (int, error) {
	var ready wireReady
	err := json.NewDecoder(bytes.NewReader(b)).Decode(&ready)
	c <- ready
	return len(b), err
}
