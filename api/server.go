package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Deps are the collaborators of the API. All are needed.
type Deps struct {
	Accounts *account.Service
	Journal  journal.Journal
	Store    store.Store
	Shards   int
	Ask      ask.Shards    // by shard
	Kept     time.Duration // how long counters and traces are kept after the last record of a send

	// Refused tells since when a provider refuses a credential.
	Refused func(tocsin.CredentialID) (since time.Time, refused bool)

	// Outlook tells what stands before a send that goes out on some routes.
	Outlook func(context.Context, tocsin.ProjectID, tocsin.Class, []ask.Share, bool) (ask.Outlook, error)

	// Crowded tells whether too much is open for another send of a project.
	Crowded func(tocsin.ProjectID, tocsin.Class) (pace.Refusal, bool)

	// Full is an error while the disk has no room for new sends.
	Full func() error

	// Forget returns once nothing that anybody can read holds some people any more,
	// and Purge once nothing is on the disk that nobody can read. step hears what is
	// done.
	Forget func(ctx context.Context, people []*Erasing, step func(string)) error
	Purge  func(context.Context) error

	// Damaged names a file of the storage that cannot be read, nil for none. What
	// is accepted then may never be done.
	Damaged func() error

	// Scheduled calls each for the sends of a project that wait for their time on a
	// shard; one accepted in the last seconds may be missing.
	Scheduled func(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, each func(*record.Send)) error

	Metrics http.Handler                // serves /metrics
	Ready   func(context.Context) error // why the node does not serve yet; nil when it does
	Log     *slog.Logger
	Now     func() time.Time
	Random  io.Reader // unpredictable
}

// Server answers the API. It is an http.Handler; Run keeps what it follows.
type Server struct {
	Config
	Deps

	api       huma.API
	handler   http.Handler
	marks     *marks
	sends     []*appender // by shard, as are the next two
	ledger    []*appender
	changes   []*appender
	listing   listing
	followers []*follower // by shard
	steering  steering
	teacher   *teacher
	imports   *imports
	names     *catalogue.Service
	surveys   chan struct{} // a place for the one who looks through a project
	eraser    *eraser
	requests  *gate // of keys; the next of devices
	devices   *gate
	questions *gate // about targets
	streams   *gate
	quick     *lane // of questions about targets; the next of dear ones
	slow      *lane
	addresses *addresses // of devices
	known     knownSends
	large     chan struct{}   // a place for each large body that may be worked on
	tasks     *sync.WaitGroup // appends and askings under way
}

// mostAddresses bounds the addresses of devices that are remembered: some 20 MB.
const mostAddresses = 100_000

// New builds the server and its routes.
func New(c Config, d Deps) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if d.Shards < 1 || d.Shards > tocsin.MaxShards {
		return nil, errors.New("api: number of shards is out of range")
	}
	s := &Server{Config: c, Deps: d, listing: listing{d.Store}, steering: steering{d.Store}, imports: &imports{store: d.Store, running: map[tocsin.ImportID]*importRow{}}, requests: newGate(c.Requests), devices: newGate(c.Requests), questions: newGate(max(1, c.Requests/8)), streams: newGate(c.Streams), quick: quickLane(), slow: slowLane(), addresses: newAddresses(c.DeviceRate, c.DeviceBurst, mostAddresses), large: make(chan struct{}, largeBodies), tasks: new(sync.WaitGroup)}
	s.surveys = make(chan struct{}, 1)
	var err error
	s.names, err = catalogue.New(c.Names, catalogue.Deps{Store: d.Store, Now: d.Now, Learn: s.learnNames, Write: s.writeNames})
	if err != nil {
		return nil, err
	}
	s.marks = &marks{journal: d.Journal, shards: d.Shards, tasks: s.tasks}
	for i := range d.Shards {
		s.followers = append(s.followers, &follower{cancel: s.cancelLedgers, listing: s.listing, steering: s.steering, journal: d.Journal, shard: tocsin.Shard(i), shards: d.Shards, log: d.Log})
		for _, to := range [...]struct {
			topic journal.Topic
			all   *[]*appender
		}{{journal.Sends, &s.sends}, {journal.Ledger, &s.ledger}, {journal.Changes, &s.changes}} {
			writer, err := s.writer()
			if err != nil {
				return nil, err
			}
			*to.all = append(*to.all, &appender{journal: d.Journal, writer: writer, tasks: s.tasks,
				partition: journal.Partition{Topic: to.topic, Shard: tocsin.Shard(i)}})
		}
	}
	s.teacher = newTeacher(s.Ask, d.Store, d.Log, d.Now)
	s.eraser = newEraser(d, s.imports)
	mux := http.NewServeMux()
	casing.Do(func() { huma.ValidateStrictCasing = true })
	s.api = humago.New(mux, describe())
	s.projectRoutes()
	s.statsRoutes()
	s.subscriptionRoutes()
	s.deviceRoutes()
	s.identityRoutes()
	s.importRoutes()
	s.eventRoutes()
	s.listRoutes()
	s.erasureRoutes()
	s.targetRoutes()
	s.segmentRoutes()
	s.catalogueRoutes()
	s.sendRoutes()
	if err := s.plainRoutes(mux); err != nil {
		return nil, err
	}
	s.handler = mux
	return s, nil
}

// writer gives a partition an identity of its own.
func (s *Server) writer() (*record.Writer, error) {
	for {
		var b [8]byte
		if _, err := io.ReadFull(s.Random, b[:]); err != nil {
			return nil, err
		}
		if n := binary.BigEndian.Uint64(b[:]); n != 0 {
			return record.NewWriter(n), nil
		}
	}
}

// Document is the OpenAPI 3.1 description of the API.
func (s *Server) Document() ([]byte, error) {
	schemas := s.api.OpenAPI().Components.Schemas.Map()
	delete(schemas, "ErrorModel") // the library's own form, which reshape replaces
	delete(schemas, "ErrorDetail")
	return json.MarshalIndent(s.api.OpenAPI(), "", "  ")
}

// plainRoutes are those for machines that watch the node.
func (s *Server) plainRoutes(mux *http.ServeMux) error {
	document, err := s.Document()
	if err != nil {
		return err
	}
	mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(document)
	})
	Watched(mux, s.Metrics, s.Ready)
	mux.HandleFunc("OPTIONS "+devicePrefix, s.preflight)
	return nil
}

// Watched are the routes for whoever watches a process, with the API or without.
func Watched(mux *http.ServeMux, metrics http.Handler, ready func(context.Context) error) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := ready(r.Context()); err != nil {
			writeProblem(w, busy(http.StatusServiceUnavailable, "unavailable", "not ready: "+err.Error(), time.Second))
			return
		}
		io.WriteString(w, "ready\n")
	})
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { writeProblem(w, notFound("path")) })
}

// casing has the library compare names as they are written. It keeps that for
// all of the process.
var casing sync.Once

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body != http.NoBody {
		// Also for what nobody reads: the connection waits for it before the answer.
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.BodyTime))
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	s.handler.ServeHTTP(w, r)
}

// Run follows the logs of sends so that every accepted send is listed, until
// ctx ends, and returns when nothing of the server is under way any more. End
// it after the last request was answered.
func (s *Server) Run(ctx context.Context) error {
	defer s.tasks.Wait()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	for i := range s.Shards {
		all.Go(func() {
			if err := s.followers[i].run(ctx); err != nil {
				stop(err)
			}
		})
	}
	all.Go(func() { s.readCatalogues(ctx) })
	all.Go(func() { s.sampleSizes(ctx) })
	for _, run := range []func(context.Context) error{s.teacher.run, s.eraser.run} {
		all.Go(func() {
			if err := run(ctx); err != nil {
				stop(err)
			}
		})
	}
	all.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
