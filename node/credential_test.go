package node_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/sim"
)

// received counts the pushes that the providers read, by whether they were
// refused for the credential.
func (t *town) received() (all, refused int) {
	t.sim.Ledger().Each(func(r *sim.Record) {
		all++
		if r.Status == 401 || r.Status == 403 {
			refused++
		}
	})
	return all, refused
}

// revoke makes a provider refuse or accept every credential.
func (t *town) revoke(p tocsin.Provider, revoked bool) {
	t.Helper()
	o := t.sim.Options(p)
	o.Revoked = revoked
	if err := t.sim.SetOptions(p, o); err != nil {
		t.Fatal(err)
	}
}

// credential is the project's for a provider: as it was set, and as listed.
func (t *town) credential(p tocsin.Provider) (set client.CredentialRequest, listed client.Credential) {
	t.Helper()
	for _, c := range t.sim.Setup().Projects[0].Credentials {
		if c.Provider == p {
			set = c
		}
	}
	all, err := t.api.Credentials(t.Context(), t.project.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all.Credentials {
		if c.Provider == p {
			listed = c
		}
	}
	return set, listed
}

// isRefused checks that API, log and metrics say of a credential the same.
func (t *town) isRefused(p tocsin.Provider) {
	t.Helper()
	if _, listed := t.credential(p); listed.RefusedSince.IsZero() {
		t.Fatalf("the API does not say that the credential is refused: %+v", listed)
	}
	if v := t.metric("tocsin_fanout_credential_refused{", t.project.ID.String(), `"`+p.String()+`"`); v != "1" {
		t.Fatalf("the metric of a refused credential is %q", v)
	}
	if n := strings.Count(t.log.String(), "the provider refuses the credential"); n != 1 {
		t.Fatalf("the log says %d times that the credential is refused", n)
	}
	t.labelled()
}

// labelled holds that every metric and line of the log that names a project
// names its environment too (law L10).
func (t *town) labelled() {
	t.Helper()
	answer, err := http.Get(t.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text) + t.log.String()) {
		if strings.Contains(line, "project=") && !strings.Contains(line, "environment=") {
			t.Errorf("no environment: %s", line)
		}
	}
}

// replace sets the credential anew and checks that all say that it is good.
func (t *town) replace(p tocsin.Provider, id tocsin.SendID) client.Send {
	t.Helper()
	t.revoke(p, false)
	set, _ := t.credential(p)
	if _, err := t.api.SetCredential(t.Context(), t.project.ID, set); err != nil {
		t.Fatal(err)
	}
	now := t.ended(id)
	if _, listed := t.credential(p); !listed.RefusedSince.IsZero() || listed.Version != 2 {
		t.Fatalf("after its replacement: %+v", listed)
	}
	if v := t.metric("tocsin_fanout_credential_refused{", t.project.ID.String(), `"`+p.String()+`"`); v != "0" {
		t.Fatalf("the metric after the replacement is %q", v)
	}
	return now
}

func TestWrongCredentialCostsOneProbe(t *testing.T) {
	t.Parallel()
	for _, p := range []tocsin.Provider{tocsin.APNs, tocsin.FCM, tocsin.WebPush} {
		t.Run(p.String(), func(t *testing.T) {
			t.Parallel()
			const people = 2000
			town := newTown(t, nil)
			town.newsroom(p, people)
			town.revoke(p, true)
			id := town.send(everybody())
			now := town.until(id, "waiting on every shard", func(s client.Send) bool {
				return s.Counters != nil && s.Counters.Later > 0 && s.Counters.Audience == people
			})
			town.isRefused(p)
			if c := now.Counters; c.Pending != people || c.Later != 1 {
				t.Fatalf("%+v", c)
			}
			// FCM's credential is refused where its token is fetched: nothing is sent.
			most := 1
			if p == tocsin.FCM {
				most = 0
			}
			if all, _ := town.received(); all != most {
				t.Fatalf("%d pushes reached the provider instead of %d", all, most)
			}
			if now := town.replace(p, id); now.Counters.Accepted != people || now.Counters.Doubtful != 0 {
				t.Fatalf("%+v", now.Counters)
			}
			if all, _ := town.received(); all != people+most {
				t.Fatalf("%d pushes reached the provider over all", all)
			}
		})
	}
}

func TestCredentialRefusedInMidSend(t *testing.T) {
	t.Parallel()
	const people, streams = 20_000, 100
	town := newTown(t, nil)
	o := town.sim.Options(tocsin.APNs)
	o.Streams, o.MaxRate = streams, 20_000
	if err := town.sim.SetOptions(tocsin.APNs, o); err != nil {
		t.Fatal(err)
	}
	town.populate(tocsin.APNs, people)
	id := town.send(everybody())
	town.until(id, "under way", func(s client.Send) bool { return s.Counters != nil && s.Counters.Accepted > 1000 })
	town.revoke(tocsin.APNs, true)
	now := town.until(id, "waiting", func(s client.Send) bool { return s.Counters.Later > 0 })
	if now.Counters.Pending == 0 {
		t.Fatalf("too late: %+v", now.Counters)
	}
	town.isRefused(tocsin.APNs)
	connections := int(town.sim.Totals()[tocsin.APNs].Connections)
	if now = town.replace(tocsin.APNs, id); now.Counters.Accepted != people || now.Counters.Doubtful != 0 {
		t.Fatalf("%+v", now.Counters)
	}
	all, refused := town.received()
	t.Logf("%d pushes were refused, over %d connections of %d streams", refused, connections, streams)
	if refused == 0 || refused > connections*streams || all != people+refused {
		t.Fatalf("%d received, %d of them refused", all, refused)
	}
}
