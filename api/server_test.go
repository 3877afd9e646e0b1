package api

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

const testShards = 4

// offered stands at the edge for the providers: every key is good.
type offered struct{ provider.Provider }

func (offered) Check(provider.Credential) error { return nil }

// world is a node without plan and fanout: what the API needs, on engines in
// memory.
type world struct {
	shards   []*audience.Shard
	t        testing.TB
	journal  journal.Journal
	store    store.Store
	accounts *account.Service
	server   *Server
	http     *httptest.Server
	platform string // key
	log      *bytes.Buffer
	ledgers  [testShards]*record.Writer
	stop     func()
}

// lockedBuffer is written by the server's goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  *bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newWorld(t testing.TB, change ...func(*Config, *Deps)) *world {
	return newWorldOn(t, journalmem.New(), storemem.New(time.Now), filepath.Join(t.TempDir(), "key"), change...)
}

func newWorldOn(t testing.TB, j journal.Journal, st store.Store, keyFile string, change ...func(*Config, *Deps)) *world {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	w := &world{t: t, journal: j, store: st, log: new(bytes.Buffer)}
	log := slog.New(slog.NewTextHandler(&lockedBuffer{b: w.log}, nil))
	providers := map[tocsin.Provider]provider.Provider{tocsin.APNs: offered{}, tocsin.FCM: offered{}, tocsin.WebPush: offered{}}
	var err error
	if w.accounts, err = account.Open(ctx, st, account.Config{KeyFile: keyFile, Providers: providers}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.accounts.FirstKey(ctx, func(s account.Secret) error { w.platform = s.Reveal(); return nil }); err != nil {
		t.Fatal(err)
	}
	deps := Deps{Kept: receipt.Default().Retention, Accounts: w.accounts, Journal: j, Store: st, Shards: testShards, Log: log, Now: time.Now, Random: rand.Reader,
		Refused: func(tocsin.CredentialID) (since time.Time, refused bool) { return since, false },
		Outlook: func(_ context.Context, _ tocsin.ProjectID, _ tocsin.Class, shares []ask.Share, _ bool) (o ask.Outlook, err error) {
			o.Now = time.Now()
			for _, s := range shares {
				o.Ways = append(o.Ways, ask.Way{Provider: s.Route.Provider, Subject: s.Route.Provider.String(), Pushes: int(s.Pushes), Quota: 2})
			}
			return o, nil
		},
		Crowded: func(tocsin.ProjectID, tocsin.Class) (pace.Refusal, bool) { return pace.Refusal{}, false },
		Full:    func() error { return nil }, Damaged: func() error { return nil },
		Scheduled: func(context.Context, tocsin.Shard, tocsin.ProjectID, func(*record.Send)) error { return nil }, Metrics: http.NotFoundHandler(), Ready: func(context.Context) error { return nil }}
	var running sync.WaitGroup
	for i := range testShards {
		shard := audience.NewShard(tocsin.Shard(i))
		w.shards = append(w.shards, shard)
		running.Go(func() { project(ctx, t, j, tocsin.Shard(i), shard) })
		shell := receipt.NewShell(receipt.Default(), tocsin.Shard(i), uint64(1000+i), j, st, log)
		deps.Ask = append(deps.Ask, ask.Shard{Audience: audience.Answers{Shard: shard}, Receipts: receipt.Answers{Shell: shell}})
		shard.TellReached(func(ctx context.Context, shard tocsin.Shard, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error) {
			return deps.Ask[shard].Reached(ctx, project, send)
		})
		running.Go(func() {
			if err := shell.Run(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		})
		w.ledgers[i] = record.NewWriter(uint64(2000 + i))
	}
	var identities atomic.Uint64
	for i := range testShards {
		rivals := func(ctx context.Context, shard tocsin.Shard, below uint64, page audience.Page) ([]ask.Rival, error) {
			err := w.shards[shard].Await(ctx, below)
			return w.shards[shard].Rivals(page), err
		}
		ways := audience.NewWays(w.shards[i], testShards, rivals, j, func() uint64 { return 3000 + identities.Add(1) }, log)
		running.Go(func() { ways.Run(ctx) })
	}
	config := Default()
	config.Poll = 5 * time.Millisecond
	for _, c := range change {
		c(&config, &deps)
	}
	if w.server, err = New(config, deps); err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		if err := w.server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	w.http = httptest.NewServer(w.server)
	w.stop = sync.OnceFunc(func() {
		w.http.CloseClientConnections()
		w.http.Close()
		stop()
		running.Wait()
	})
	t.Cleanup(w.stop)
	return w
}

// project applies changes to a shard, as audience's follower does, without
// snapshots.
func project(ctx context.Context, t testing.TB, j journal.Journal, number tocsin.Shard, shard *audience.Shard) {
	p := journal.Partition{Topic: journal.Changes, Shard: number}
	next := journal.Position(0)
	for {
		records, after, err := j.Read(ctx, p, next, 1<<20)
		if err != nil {
			return
		}
		for _, r := range records {
			e, err := record.Decode(r.Data)
			if err == nil {
				err = shard.Apply(uint64(r.Position), e)
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
		next = after
		shard.Advance(uint64(next))
		if len(records) == 0 && j.Wait(ctx, p, next) != nil {
			return
		}
	}
}

func (w *world) client(key string) *client.Client {
	c, err := client.New(client.Config{URL: w.http.URL, Key: key, Retries: -1})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// newProject makes a project with a credential of each provider.
func (w *world) newProject(name string) (client.Project, *client.Client) {
	w.t.Helper()
	p, err := w.client(w.platform).CreateProject(w.t.Context(), client.ProjectRequest{Name: name, Environment: tocsin.Development,
		Origins: []string{"https://www.example.com"},
		Credentials: []client.CredentialRequest{
			{Provider: tocsin.APNs, APNs: &client.APNsCredential{Key: "secret-p8", KeyID: "KEY", TeamID: "TEAM", Topics: []string{"com.example.app"}}},
			{Provider: tocsin.FCM, FCM: &client.FCMCredential{ServiceAccount: json.RawMessage(`{"project_id":"fire","private_key":"secret-fcm"}`)}},
			{Provider: tocsin.WebPush, WebPush: &client.WebPushCredential{Subject: "mailto:ops@example.com"}},
		}})
	if err != nil {
		w.t.Fatal(err)
	}
	return p, w.client(p.Key)
}

// raw makes one request by hand.
func (w *world) raw(method, path, key, body string, header ...string) (*http.Response, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.http.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer, string(text)
}

// wantProblem checks status, code and field of an error.
func wantProblem(t *testing.T, err error, status int, code, field string) {
	t.Helper()
	var p *client.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v, want problem %d %s", err, status, code)
	}
	at := ""
	if len(p.Errors) > 0 {
		at = p.Errors[0].Field
	}
	if p.Status != status || p.Code != code || !strings.HasPrefix(at, field) {
		t.Fatalf("problem %d %s at %q (%v), want %d %s at %q", p.Status, p.Code, at, p, status, code, field)
	}
}

func TestRefusedCredentialIsListed(t *testing.T) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := newWorld(t, func(_ *Config, d *Deps) {
		d.Refused = func(tocsin.CredentialID) (time.Time, bool) { return since, true }
	})
	p, c := w.newProject("a")
	list, err := c.Credentials(t.Context(), p.ID)
	if err != nil || len(list.Credentials) == 0 || !list.Credentials[0].RefusedSince.Equal(since) {
		t.Fatalf("%+v, %v", list, err)
	}
}

func TestProjectsKeysAndCredentials(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("Le Matin")
	if p.Key == "" || p.DeviceKey == "" || p.Environment != tocsin.Development {
		t.Fatalf("project %+v", p)
	}
	if _, err := c.CreateProject(ctx, client.ProjectRequest{Name: "x"}); !errors.Is(err, client.ErrForbidden) {
		t.Fatalf("a project's key made a project: %v", err)
	}
	all, err := w.client(w.platform).Projects(ctx, tocsin.ProjectID{}, 10)
	if err != nil || len(all.Projects) != 1 || all.Projects[0].Key != "" {
		t.Fatalf("%+v %v", all, err)
	}
	name := "Le Soir"
	if got, err := c.UpdateProject(ctx, p.ID, client.ProjectUpdate{Name: &name}); err != nil || got.Name != name {
		t.Fatalf("%+v %v", got, err)
	}
	weight := 3
	if _, err := c.UpdateProject(ctx, p.ID, client.ProjectUpdate{Weight: &weight}); !errors.Is(err, client.ErrForbidden) {
		t.Fatalf("a project gave itself another weight: %v", err)
	}
	if got, err := w.client(w.platform).UpdateProject(ctx, p.ID, client.ProjectUpdate{Weight: &weight}); err != nil || got.Weight != 3 || got.Name != name {
		t.Fatalf("%+v %v", got, err)
	}
	k, err := c.CreateKey(ctx, p.ID, client.KeyRequest{Name: "reader", Scopes: []client.Scope{client.ScopeRead}})
	if err != nil || k.Key == "" {
		t.Fatalf("%+v %v", k, err)
	}
	reader := w.client(k.Key)
	if _, err := reader.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "t"}); !errors.Is(err, client.ErrForbidden) {
		t.Fatalf("a reader wrote: %v", err)
	}
	if _, err := reader.Sends(ctx, tocsin.SendID{}, 10); err != nil {
		t.Fatal(err)
	}
	if err := c.RevokeKey(ctx, p.ID, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Sends(ctx, tocsin.SendID{}, 10); !errors.Is(err, client.ErrUnauthorized) {
		t.Fatalf("a revoked key worked: %v", err)
	}
	keys, err := c.Keys(ctx, p.ID)
	if err != nil || len(keys.Keys) != 2 || keys.Keys[0].RevokedAt.IsZero() == keys.Keys[1].RevokedAt.IsZero() {
		t.Fatalf("%+v %v", keys, err)
	}
	set, err := c.Credentials(ctx, p.ID)
	if err != nil || len(set.Credentials) != 3 || set.Credentials[1].FCM.ProjectID != "fire" || len(set.Credentials[2].WebPush.PublicKey) != 87 {
		t.Fatalf("%+v %v", set, err)
	}
	if shown, _ := json.Marshal(set); bytes.Contains(shown, []byte("secret-")) {
		t.Fatalf("a secret is given back: %s", shown)
	}
	again, err := c.SetCredential(ctx, p.ID, client.CredentialRequest{Provider: tocsin.APNs, APNs: &client.APNsCredential{KeyID: "K2", TeamID: "TEAM", Topics: []string{"a.b"}}})
	if err != nil || again.Version != 2 || again.ID != set.Credentials[0].ID {
		t.Fatalf("%+v %v", again, err)
	}
	if strings.Contains(w.log.String(), p.Key) || strings.Contains(w.log.String(), "secret-") {
		t.Fatal("a secret is in the log")
	}
}

// A key sees nothing of another project, by whatever name it asks.
func TestProjectsAreApart(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	a, ca := w.newProject("a")
	_, cb := w.newProject("b")
	made, err := ca.PutSubscription(ctx, client.Subscription{Provider: tocsin.FCM, Token: "tok", User: "anna"})
	if err != nil {
		t.Fatal(err)
	}
	send, err := ca.Send(ctx, hello(), "k1")
	if err != nil {
		t.Fatal(err)
	}
	imported, err := ca.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := cb.Send(ctx, hello(), "k1"); err != nil || other.ID == send.ID {
		t.Fatalf("an idempotency key of another project: %v %v", other.ID, err)
	}
	for what, err := range map[string]error{
		"project":      second(cb.Project(ctx, a.ID)),
		"update":       second(cb.UpdateProject(ctx, a.ID, client.ProjectUpdate{})),
		"keys":         second(cb.Keys(ctx, a.ID)),
		"create key":   second(cb.CreateKey(ctx, a.ID, client.KeyRequest{Name: "x", Scopes: []client.Scope{"read"}})),
		"credentials":  second(cb.Credentials(ctx, a.ID)),
		"subscription": second(cb.Subscription(ctx, made.ID)),
		"delete":       cb.DeleteSubscription(ctx, made.ID),
		"send":         second(cb.GetSend(ctx, send.ID)),
		"cancel":       second(cb.Cancel(ctx, send.ID)),
		"trace":        second(cb.Trace(ctx, send.ID, made.ID)),
		"import":       second(cb.GetImport(ctx, imported.ID)),
	} {
		if !errors.Is(err, client.ErrNotFound) {
			t.Errorf("%s of another project: %v", what, err)
		}
	}
	if all, err := cb.Projects(ctx, tocsin.ProjectID{}, 0); err != nil || len(all.Projects) != 1 || all.Projects[0].ID == a.ID {
		t.Errorf("%+v %v", all, err)
	}
	// A platform key acts for the project that it names, and for none unnamed.
	if _, err := w.client(w.platform).GetSend(ctx, send.ID); !errors.Is(err, client.ErrForbidden) {
		t.Error(err)
	}
	named, _ := client.New(client.Config{URL: w.http.URL, Key: w.platform, Project: a.ID})
	if _, err := named.GetSend(ctx, send.ID); err != nil {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

func hello() client.SendRequest {
	return client.SendRequest{Name: "hello", Target: client.Target{Query: json.RawMessage(`{}`)},
		Message: client.Message{Languages: map[string]client.Content{"fr": {Title: "Bonjour {{ first_name }}", Body: "ça va"}},
			Defaults: map[string]string{"first_name": "toi"}}}
}
