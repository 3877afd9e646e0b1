package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/index"
	journaldisk "github.com/tocsin-push/tocsin/journal/disk"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/provider/apns"
	"github.com/tocsin-push/tocsin/provider/fcm"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
	storedisk "github.com/tocsin-push/tocsin/store/disk"
)

// Up says where a started node is.
type Up struct {
	URL          string
	AdminKeyFile string
	First        bool // this start made the installation and its admin key
}

// Run starts a node, calls up once it serves, and returns when ctx has ended
// and all that it started has returned. An error ends it the same way.
func Run(ctx context.Context, c Config, log *slog.Logger, up func(Up)) error {
	if err := c.Validate(); err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	parts := &stages{fail: fail}
	defer parts.end()

	// Storage. A write or sync that failed leaves nothing to go on with: what
	// the disk holds is known only after the next start.
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("node: data folder: %w", err)
	}
	failStop := func(err error) {
		log.Error("storage failed; the process ends and recovers at its next start", "error", err)
		os.Exit(1)
	}
	jc := journaldisk.Default()
	jc.Reserve, jc.Log, jc.Stop = c.Reserve, log, failStop
	_, missing := os.Stat(filepath.Join(c.Dir, "journal"))
	logs := !errors.Is(missing, os.ErrNotExist)
	journal, err := journaldisk.Open(filepath.Join(c.Dir, "journal"), jc)
	if err != nil {
		return err
	}
	parts.onEnd(closing(log, "journal", journal.Close))
	sc := storedisk.Default()
	sc.Reserve, sc.Log, sc.Stop = c.Reserve, log, failStop
	store, err := storedisk.Open(filepath.Join(c.Dir, "store"), sc)
	if err != nil {
		return err
	}
	parts.onEnd(closing(log, "store", store.Close))
	if err := settle(ctx, store, journal, logs, installation{Shards: c.Shards}); err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	// Providers and accounts.
	providers, browsers, err := openProviders(c, log)
	if err != nil {
		return err
	}
	accounts, err := account.Open(ctx, store, account.Config{KeyFile: filepath.Join(c.Dir, "credentials.key"), Providers: providers})
	if err != nil {
		return err
	}
	adminKeyFile := filepath.Join(c.Dir, "admin.key")
	first, err := firstKey(ctx, accounts, adminKeyFile)
	if err != nil {
		return err
	}

	// The audience, shard by shard.
	snapshots, err := audience.OpenFolder(vfs.Default, filepath.Join(c.Dir, "audience"), metrics)
	if err != nil {
		return err
	}
	followers, err := openAudience(c, journal, snapshots, log)
	if err != nil {
		return err
	}
	if err := oneMoment(ctx, journal, store, followers, log); err != nil {
		return err
	}
	shards := make([]*audience.Shard, c.Shards)
	for i, f := range followers {
		shards[i] = f.Shard()
	}
	parts.startEach("audience", c.Shards, func(ctx context.Context, i int) error { return followers[i].Run(ctx) })
	parts.startEach("moves", c.Shards, func(ctx context.Context, i int) error {
		return audience.NewWays(tocsin.Shard(i), shards, journal, incarnation, log).Run(ctx)
	})

	// The road: receipt and plan fold the ledger, fanout writes it.
	receipts := make([]*receipt.Shell, c.Shards)
	plans := make([]*plan.Shell, c.Shards)
	owners := make([]*fanout.Owner, c.Shards)
	lanes, err := fanout.NewLanes(c.Lanes, providers,
		fanout.Accounts{Credentials: accounts.Credentials, IDs: accounts.CredentialIDs, Weight: accounts.Weight}, metrics, log)
	if err != nil {
		return err
	}
	for i := range c.Shards {
		shard := tocsin.Shard(i)
		receipts[i] = receipt.NewShell(c.Receipt, shard, incarnation(), journal, store, log)
		plans[i] = plan.NewShell(c.planning(), shard, incarnation(), journal, store, log)
		newest := func(ctx context.Context) (*ledger.Fold, error) {
			newer, _, err := folds(ctx, store, shard, log)
			return newer, err
		}
		owners[i] = fanout.NewOwner(c.Fanout, shard, incarnation(), journal, store, shards[i], lanes, newest, log)
	}
	for _, shard := range shards {
		shard.TellReached(func(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error) {
			return receipts[shard].Reached(ctx, project, send)
		})
	}
	parts.startEach("receipt", c.Shards, func(ctx context.Context, i int) error { return receipts[i].Run(ctx) })
	parts.startEach("plan", c.Shards, func(ctx context.Context, i int) error { return plans[i].Run(ctx) })
	parts.start("lanes", lanes.Run)
	parts.start("webpush", func(ctx context.Context) error { return browsers.Prepare(ctx, lanes.Busy) })
	parts.startEach("fanout", c.Shards, func(ctx context.Context, i int) error { return owners[i].Run(ctx) })
	replaced(parts, accounts, lanes, plans)

	// The way in.
	trims := &trimmer{journal: journal, store: store, followers: followers, receipts: receipts, plans: plans, log: log}
	server, err := api.New(c.API, api.Deps{
		Accounts: accounts, Journal: journal, Store: store, Shards: c.Shards, Audience: shards, Receipts: receipts,
		Refused: lanes.Refused, Outlook: lanes.Outlook, Crowded: lanes.Refuses,
		Full: journal.Full,
		Forget: func(ctx context.Context, people []*api.Erasing, step func(string)) error {
			return trims.forget(ctx, people, step, journal)
		},
		Purge:   func(ctx context.Context) error { return errors.Join(journal.Purge(ctx), store.Purge(ctx)) },
		Damaged: func() error { return errors.Join(journal.Damaged(), store.Damaged()) },
		Scheduled: func(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, each func(*record.Send)) error {
			return plan.Scheduled(ctx, store, shard, project, each)
		},
		Metrics: promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}), Ready: func(context.Context) error { return caughtUp(followers) },
		Log: log, Now: time.Now, Random: rand.Reader,
	})
	if err != nil {
		return err
	}
	trims.listed = server.Listed
	parts.start("api", server.Run)
	parts.start("trim", func(ctx context.Context) error { return trims.run(ctx, c.Trim) })
	parts.start("garbage", collect)
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	serve(parts, c, server, listener, log)
	up(Up{URL: "http://" + listener.Addr().String(), AdminKeyFile: adminKeyFile, First: first})

	<-ctx.Done()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
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

// closing closes an engine as the last of its users has returned.
func closing(log *slog.Logger, what string, close func() error) func() {
	return func() {
		if err := close(); err != nil {
			log.Error("closing failed", "what", what, "error", err)
		}
	}
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
