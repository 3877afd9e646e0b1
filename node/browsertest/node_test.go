//go:build browser

package browsertest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// startNode starts a node and simulated push services, and makes a newsroom
// whose site has one origin.
func (r *reader) startNode(site string) {
	log := slog.New(slog.NewTextHandler(r.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	r.providers, err = sim.Start(sim.Default(), log)
	r.must(err)
	r.Cleanup(r.providers.Stop)

	config := node.Default()
	config.Dir, config.Listen, config.Shards = filepath.Join(r.TempDir(), "data"), "127.0.0.1:0", 2
	ctx, stop := context.WithCancel(context.Background())
	up, ended := make(chan node.Up, 1), make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, config, log, func(u node.Up) { up <- u })
	}()
	var at node.Up
	select {
	case at = <-up:
	case err := <-ended:
		stop()
		r.Fatal(err)
	}
	r.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.Errorf("the node ended: %v", err)
		}
	})
	key, err := os.ReadFile(at.AdminKeyFile)
	r.must(err)
	r.url = at.URL
	admin, err := client.New(client.Config{URL: r.url, Key: strings.TrimSpace(string(key))})
	r.must(err)
	request := r.providers.Setup().Projects[0]
	request.Origins = []string{site}
	r.newsroom, err = admin.CreateProject(r.ctx, request)
	r.must(err)
	r.api, err = client.New(client.Config{URL: r.url, Key: r.newsroom.Key})
	r.must(err)
}

// web is a client that trusts the simulated push service.
func (r *reader) web() *http.Client {
	return &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: r.providers.Roots()}}}
}
