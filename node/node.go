package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/net/netutil"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/apns"
	"github.com/tocsin-push/tocsin/provider/fcm"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/snapshot"
)

// Up says where a started node is.
type Up struct {
	URL          string
	AdminKeyFile string // empty on a cluster, where cluster init has made it
	First        bool   // this start made the installation and its admin key
}

// node is what its roles share.
type node struct {
	config Config
	log    *slog.Logger
	*engines
	parts     *stages
	metrics   *prometheus.Registry
	providers map[tocsin.Provider]provider.Provider
	browsers  *webpush.Provider
	accounts  *account.Service
	lanes     *fanout.Lanes
	snapshots *snapshot.Keeper
	opening   chan struct{} // a place for each audience that is read at the same time
	courtesy  *audience.Courtesy
	local     *local
	shards    ask.Shards  // wherever they live
	process   ask.Process // as others reach it
	trims     *trimmer
	handler   http.Handler
}

// Run starts a node, calls up once it serves, and returns when ctx has ended
// and all that it started has returned. An error ends it the same way.
func Run(ctx context.Context, c Config, log *slog.Logger, up func(Up)) error {
	open := openEmbedded
	if c.Cluster != nil {
		open = openCluster
	}
	return run(ctx, c, open, log, up)
}

func run(ctx context.Context, c Config, open opener, log *slog.Logger, up func(Up)) error {
	if err := c.Validate(); err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	n := &node{config: c, log: log, parts: &stages{fail: fail}, metrics: prometheus.NewRegistry(),
		opening: make(chan struct{}, runtime.GOMAXPROCS(0)), courtesy: audience.NewCourtesy(), local: new(local)}
	defer n.parts.end()
	n.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// What everything is kept in, providers and accounts.
	var err error
	if n.engines, err = open(ctx, n); err != nil {
		return err
	}
	if err := n.meet(); err != nil {
		return err
	}
	n.trims = &trimmer{journal: n.journal, store: n.store, log: log}
	if n.providers, n.browsers, err = openProviders(c, log); err != nil {
		return err
	}
	n.accounts, err = account.Open(ctx, n.store, account.Config{KeyFile: n.sealed, Providers: n.providers})
	if err != nil {
		return err
	}
	first := false
	if n.admin != "" {
		if first, err = firstKey(ctx, n.accounts, n.admin); err != nil {
			return err
		}
	}
	n.parts.start("news", func(ctx context.Context) error { return n.accounts.Watch(ctx, log) })
	n.parts.start("garbage", collect)

	// The roles, and a way in for whoever watches the process.
	n.handler = n.watched()
	for _, role := range Roles {
		if !slices.Contains(c.Roles, role) {
			continue
		}
		if err := n.start(ctx, role); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return undone(ctx, context.Cause(ctx))
		}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	serve(n.parts, c, n.handler, listener, log)
	up(Up{URL: "http://" + listener.Addr().String(), AdminKeyFile: n.admin, First: first})

	<-ctx.Done()
	return undone(ctx, context.Cause(ctx))
}

func openProviders(c Config, log *slog.Logger) (map[tocsin.Provider]provider.Provider, *webpush.Provider, error) {
	a, err := apns.New(c.APNs, log)
	if err != nil {
		return nil, nil, err
	}
	f, err := fcm.New(c.FCM, log)
	if err != nil {
		return nil, nil, err
	}
	w, err := webpush.New(c.WebPush, log)
	if err != nil {
		return nil, nil, err
	}
	return map[tocsin.Provider]provider.Provider{tocsin.APNs: a, tocsin.FCM: f, tocsin.WebPush: w}, w, nil
}

// serve answers HTTP until its stage ends; requests under way may finish.
func serve(parts *stages, c Config, handler http.Handler, listener net.Listener, log *slog.Logger) {
	requests, cut := context.WithCancel(context.Background())
	web := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return requests },
	}
	parts.start("http", func(ctx context.Context) error {
		context.AfterFunc(ctx, func() {
			limit, done := context.WithTimeout(context.Background(), c.Stop)
			defer done()
			time.AfterFunc(c.Stop/2, cut) // streams do not end by themselves
			if err := web.Shutdown(limit); err != nil {
				web.Close()
			}
			cut()
		})
		err := web.Serve(netutil.LimitListener(listener, connections()))
		<-requests.Done()
		return err
	})
}

// connections is how many clients may be connected at the same time: they must
// leave files to the engines and to the providers' connections.
func connections() int {
	const most = 8192
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return most / 8
	}
	return int(min(max(files.Cur/2, 16), most))
}

// incarnation is a number that no other writer has.
func incarnation() uint64 {
	for {
		var b [8]byte
		rand.Read(b[:]) // never fails
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return n
		}
	}
}
