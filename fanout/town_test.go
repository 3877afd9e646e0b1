package fanout

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

// edge is a provider at the edge of the world: it counts what reached it, and
// answers by the address.
type edge struct {
	mu     sync.Mutex
	seen   map[string][]byte // payload by address
	times  map[string]int
	ttl    time.Duration     // that the last batch had
	held   []*provider.Batch // while hold is set
	hold   bool
	wrong  uint64 // version of the credential that is refused
	answer func(address []byte) (provider.Result, provider.Detail)
}

func (*edge) Check(provider.Credential) error { return nil }
func (*edge) Subject(r provider.Route, c provider.Credential) string {
	return "subject " + c.ID.String()
}
func (*edge) Quota() int          { return 0 }
func (*edge) Ramp() time.Duration { return 0 }
func (e *edge) Lane(r provider.Route, c provider.Credential) (provider.Lane, error) {
	return &edgeLane{edge: e, credential: c}, nil
}

type edgeLane struct {
	*edge
	credential provider.Credential
}

func (*edgeLane) Warm(context.Context) error  { return nil }
func (*edgeLane) Capacity() int               { return 4000 }
func (*edgeLane) State() provider.State       { return provider.State{} }
func (*edgeLane) Close(context.Context) error { return nil }

func (l *edgeLane) Send(b *provider.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hold {
		l.held = append(l.held, b)
		return
	}
	go l.finish(b)
}

func (l *edgeLane) finish(b *provider.Batch) {
	l.mu.Lock()
	l.ttl = b.Headers.TTL
	for i, address := range b.Addresses {
		if b.Stop.Load() {
			b.Results[i] = provider.Unsent
			continue
		}
		result, detail := provider.Accepted, provider.Detail{}
		switch {
		case l.credential.Version == l.wrong:
			result, detail.Reason = provider.Fault, tocsin.ReasonCredential
		case l.answer != nil:
			result, detail = l.answer(address)
		}
		l.times[string(address)]++
		if result == provider.Accepted {
			l.seen[string(address)] = bytes.Clone(b.Payloads[i]) // the memory is used again
		} else {
			detail.Index = i
			b.Details = append(b.Details, detail)
		}
		b.Results[i] = result
		b.Wrote = append(b.Wrote, provider.Written{From: i, To: i + 1, At: time.Now()})
	}
	l.mu.Unlock()
	b.Done(b)
}

// release lets go of what was held.
func (e *edge) release(lane func(*provider.Batch)) {
	e.mu.Lock()
	held := e.held
	e.held, e.hold = nil, false
	e.mu.Unlock()
	for _, b := range held {
		lane(b)
	}
}

// town is one shard with people in it, its owner, and the provider.
type town struct {
	testing.TB
	ctx      context.Context
	config   Config
	journal  journal.Journal
	store    store.Store
	audience *audience.Shard
	edge     *edge
	log      lines
	lanes    *Lanes
	close    func() // the lanes; its owner has left
	version  uint64
	weight   int // of the project
	mu       sync.Mutex
	writer   *record.Writer
	position journal.Position // of the ledger, read by closed
	fold     *ledger.Fold
	names    uint64
}

var (
	project    = tocsin.ProjectID{1}
	credential = tocsin.CredentialID{2}
	scope      = record.Scope{Project: project, Environment: tocsin.Development, Class: tocsin.Normal}
)

func (w *town) credentials(context.Context, tocsin.ProjectID) ([]provider.Credential, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return []provider.Credential{{ID: credential, Project: project, Provider: tocsin.APNs, Version: w.version}}, nil
}

func (w *town) weighed(context.Context, tocsin.ProjectID) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.weight, nil
}

func address(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 24), uint64(n)) }

func newTown(t testing.TB, people int, by map[tocsin.Provider]provider.Provider) *town {
	return newTownSharing(t, people, by, nil)
}

func newTownSharing(t testing.TB, people int, by map[tocsin.Provider]provider.Provider, quotas *Quotas) *town {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	w := &town{
		TB: t, ctx: ctx, config: Default(), journal: mem.New(), store: storemem.New(time.Now), audience: audience.NewShard(0), version: 1, weight: 1, writer: record.NewWriter(7),
		fold: ledger.New(), log: make(lines, 100), edge: &edge{seen: map[string][]byte{}, times: map[string]int{}},
	}
	w.config.APNs = Retry{First: time.Millisecond, Most: time.Millisecond}
	w.config.Credential = w.config.APNs
	var changes []*record.Change
	for n := range people {
		changes = append(changes, &record.Change{Change: &record.Change_Upsert{Upsert: &record.Upsert{
			Subscription: binary.BigEndian.AppendUint64(make([]byte, 8), uint64(n+1)), Profile: fmt.Sprintf("u:%d", n),
			Provider: uint32(tocsin.APNs), Address: address(n), Topic: "app", Language: []string{"en", "fr"}[n%2],
			Attributes: []*record.Attribute{{Name: "name", Value: &record.Attribute_Text{Text: fmt.Sprint("n", n)}}},
		}}})
	}
	e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}}, time.Now(), scope)
	if err := w.audience.Apply(1, e); err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = map[tocsin.Provider]provider.Provider{tocsin.APNs: w.edge}
	}
	ids := func(context.Context, tocsin.ProjectID) (map[tocsin.Provider]tocsin.CredentialID, error) {
		return map[tocsin.Provider]tocsin.CredentialID{tocsin.APNs: credential}, nil
	}
	lanes, err := NewLanes(DefaultLanes(), by, Accounts{w.credentials, ids, w.weighed}, quotas, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(w.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	w.lanes = lanes
	stopped := make(chan error, 1)
	lanesCtx, stop := context.WithCancel(context.Background())
	go func() { stopped <- lanes.Run(lanesCtx) }()
	w.close = sync.OnceFunc(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		cancel()
	})
	t.Cleanup(w.close)
	return w
}

// lines hands on what is logged.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

// owner starts an owner; the function ends it and waits.
func (w *town) owner() (leave func()) {
	w.names++
	o := NewOwner(w.config, 0, 100+w.names, w.journal, w.store, w.audience, w.lanes,
		func(context.Context) (*ledger.Fold, error) { return ledger.New(), nil }, slog.New(slog.NewTextHandler(w.log, nil)))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	var once sync.Once
	leave = func() {
		once.Do(func() {
			stop()
			if err := <-done; err != nil {
				w.Error(err)
			}
		})
	}
	w.Cleanup(leave)
	return leave
}

func (w *town) append(topic journal.Topic, e *record.Envelope) {
	w.Helper()
	e = w.writer.Next(e, time.Now(), scope)
	if _, err := w.journal.Append(w.ctx, journal.Partition{Topic: topic}, record.Encode(e)); err != nil {
		w.Fatal(err)
	}
}

var hello = &record.Message{Fallback: "en", Languages: map[string]*record.Text{
	"en": {Title: "hello", Body: "you"}, "fr": {Title: "bonjour", Body: "toi"}}}

func (w *town) send(n byte, s *record.Slice) tocsin.SendID {
	w.Helper()
	id := tocsin.SendID{15: n}
	s.Send, s.Mark = id.Bytes(), 2
	if s.Due == 0 {
		s.Due = time.Now().UnixNano()
	}
	if s.Message == nil {
		s.Message = hello
	}
	if s.Recipients == nil && s.Stored == nil {
		s.Query = []byte(`{}`)
	}
	w.append(journal.Slices, &record.Envelope{Body: &record.Envelope_Slice{Slice: s}})
	return id
}

// until follows the ledger until a record fits, and plays plan on the way.
func (w *town) until(fits func(*record.Envelope, ledger.Verdict) bool) ledger.Verdict {
	w.Helper()
	p := journal.Partition{Topic: journal.Ledger}
	for {
		read, _, err := w.journal.Read(w.ctx, p, w.position, 1)
		if err == nil && len(read) == 0 {
			err = w.journal.Wait(w.ctx, p, w.position)
		}
		if err != nil {
			w.Fatalf("waiting for the ledger: %v", err)
		}
		for _, r := range read {
			w.position = r.Position + 1
			e, err := record.Decode(r.Data)
			if err != nil {
				w.Fatal(err)
			}
			v := w.fold.Apply(uint64(r.Position), e)
			if v.InForce && e.GetSettle() != nil {
				for span, push := range v.Send.Page(v.Claim.Page).Runs(v.Claim.Span) {
					if push.State() == ledger.Waiting {
						w.append(journal.Slices, &record.Envelope{Body: &record.Envelope_Slice{Slice: &record.Slice{Send: v.Send.ID.Bytes(), Retry: &record.Retry{
							Term: v.Claim.Term, Claim: v.Claim.Seq, Page: uint32(v.Claim.Page), From: uint32(span.From), To: uint32(span.To), Attempt: uint32(push.Claimable()),
						}}}})
					}
				}
			}
			if fits(e, v) {
				return v
			}
		}
	}
}

func (w *town) closed(id tocsin.SendID) *ledger.Send {
	w.Helper()
	return w.until(func(e *record.Envelope, v ledger.Verdict) bool {
		return v.InForce && e.GetClose() != nil && v.Send.ID == id
	}).Send
}
