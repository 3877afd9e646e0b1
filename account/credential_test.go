package account

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

func apns(key string) provider.Credential {
	return provider.Credential{Provider: tocsin.APNs, APNs: &provider.APNs{
		Key: []byte(key), KeyID: "KEY4567890", TeamID: "TEAM567890", Topics: []string{"com.example.news"}, Sandbox: true,
	}, Endpoints: []provider.Endpoint{{Origin: "https://LOCALHOST:2197"}}, Quota: 60}
}

func set(t *testing.T, s *Service, p tocsin.ProjectID, c provider.Credential) provider.Credential {
	t.Helper()
	c, err := s.SetCredential(t.Context(), p, c)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// parts is what two credentials are compared by: none of them shows itself.
func parts(c provider.Credential) []any {
	out := []any{c.ID, c.Project, c.Version, c.Provider, contentsOf(c)}
	return out
}

func TestCredentials(t *testing.T) {
	folder := t.TempDir()
	st := mem.New(time.Now)
	s := open(t, st, filepath.Join(folder, "key"))
	p, _ := project(t, s)
	var heard []provider.Credential
	s.OnReplace(func(c provider.Credential) { heard = append(heard, c) })

	first := set(t, s, p.ID, apns("one"))
	if first.Version != 1 || first.ID.IsZero() || first.Project != p.ID || first.Endpoints[0].Origin != "https://localhost:2197" {
		t.Errorf("%v", parts(first))
	}
	account := set(t, s, p.ID, provider.Credential{Provider: tocsin.FCM, FCM: &provider.FCM{ServiceAccount: []byte(`{"a":1}`)}})
	web := set(t, s, p.ID, provider.Credential{Provider: tocsin.WebPush, WebPush: &provider.WebPush{Subject: "mailto:a@example.com"}})
	private, err := ecdh.P256().NewPrivateKey(web.WebPush.PrivateKey)
	if err != nil || !bytes.Equal(private.PublicKey().Bytes(), web.WebPush.PublicKey) {
		t.Error("not a pair:", err)
	}

	// After a restart they are there again.
	all, err := open(t, st, filepath.Join(folder, "key")).Credentials(t.Context(), p.ID)
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	for i, want := range []provider.Credential{first, account, web} {
		if !reflect.DeepEqual(parts(all[i]), parts(want)) {
			t.Errorf("have %v\nwant %v", parts(all[i]), parts(want))
		}
	}

	// Replaced: same id, next version, all of it new, and heard of.
	second := set(t, s, p.ID, apns("two"))
	if second.ID != first.ID || second.Version != 2 || string(second.APNs.Key) != "two" {
		t.Errorf("%v", parts(second))
	}
	// Without a key the one before stays, and the rest is replaced.
	change := apns("")
	change.Quota, change.APNs.Topics = 0, []string{"com.example.other"}
	third := set(t, s, p.ID, change)
	if third.Version != 3 || string(third.APNs.Key) != "two" || third.Quota != 0 || third.APNs.Topics[0] != "com.example.other" {
		t.Errorf("%v", parts(third))
	}
	// But not for an endpoint that it was not given for: its tokens would go there.
	elsewhere := apns("")
	elsewhere.Endpoints = []provider.Endpoint{{Origin: "https://elsewhere.example"}}
	var refused *Invalid
	if _, err := s.SetCredential(t.Context(), p.ID, elsewhere); !errors.As(err, &refused) || refused.Path != "endpoints" {
		t.Error("a kept key goes to a new endpoint:", err)
	}
	again := set(t, s, p.ID, provider.Credential{Provider: tocsin.WebPush, WebPush: &provider.WebPush{Subject: "https://example.com"}})
	if !bytes.Equal(again.WebPush.PublicKey, web.WebPush.PublicKey) || again.WebPush.Subject != "https://example.com" {
		t.Error("the pair was changed")
	}
	if len(heard) != 6 || heard[0].Version != 1 || !reflect.DeepEqual(parts(heard[4]), parts(third)) {
		t.Error("heard of", len(heard))
	}
	if one, err := s.Credential(t.Context(), p.ID, tocsin.APNs); err != nil || !reflect.DeepEqual(parts(one), parts(third)) {
		t.Error(parts(one), err)
	}
	other, _ := project(t, s)
	if all, err := s.Credentials(t.Context(), other.ID); err != nil || len(all) != 0 {
		t.Error("another project's:", len(all), err)
	}
}

// Whoever asks after a credential was set is told of it, however many ask at
// that time.
func TestCredentialsAreNamedAsSet(t *testing.T) {
	s := open(t, mem.New(time.Now), filepath.Join(t.TempDir(), "key"))
	for range 50 {
		p, _ := project(t, s)
		stop := make(chan struct{})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						if _, err := s.CredentialIDs(t.Context(), p.ID); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		want := map[tocsin.Provider]tocsin.CredentialID{}
		for _, c := range []provider.Credential{apns("one"), {Provider: tocsin.FCM, FCM: &provider.FCM{ServiceAccount: []byte(`{"a":1}`)}}} {
			want[c.Provider] = set(t, s, p.ID, c).ID
			if ids, err := s.CredentialIDs(t.Context(), p.ID); err != nil || !maps.Equal(ids, want) {
				t.Fatalf("%v, %v instead of %v", ids, err, want)
			}
		}
		close(stop)
		asking.Wait()
	}
}

func TestCredentialRefused(t *testing.T) {
	s, st := fresh(t)
	p, _ := project(t, s)
	s.OnReplace(func(c provider.Credential) { t.Error("heard of", c) })
	for path, change := range map[string]func(*provider.Credential){
		"provider":            func(c *provider.Credential) { c.Provider = 9 },
		"fcm":                 func(c *provider.Credential) { c.Provider = tocsin.FCM },
		"apns":                func(c *provider.Credential) { c.APNs.TeamID = "BAD" },
		"quota":               func(c *provider.Credential) { c.Quota = -1 },
		"endpoints":           func(c *provider.Credential) { c.Endpoints = make([]provider.Endpoint, 17) },
		"endpoints[0].origin": func(c *provider.Credential) { c.Endpoints[0].Origin = "http://localhost" },
		"endpoints[0].root":   func(c *provider.Credential) { c.Endpoints[0].Root = []byte("x") },
		"credential":          func(c *provider.Credential) { c.APNs.Key = make([]byte, 512<<10) },
	} {
		c := apns("one")
		change(&c)
		_, err := s.SetCredential(t.Context(), p.ID, c)
		refused(t, err, path)
	}
	two := apns("one")
	two.FCM = &provider.FCM{}
	_, err := s.SetCredential(t.Context(), p.ID, two)
	refused(t, err, "apns")
	_, err = s.SetCredential(t.Context(), p.ID, apns(""))
	refused(t, err, "apns")
	_, err = s.SetCredential(t.Context(), p.ID, provider.Credential{Provider: tocsin.WebPush, WebPush: &provider.WebPush{Subject: "me"}})
	refused(t, err, "webpush.subject")
	_, err = s.SetCredential(t.Context(), p.ID, provider.Credential{Provider: tocsin.WebPush, WebPush: &provider.WebPush{Subject: "https://a", PrivateKey: []byte("x")}})
	refused(t, err, "webpush.private_key")
	_, err = s.SetCredential(t.Context(), tocsin.ProjectID{1}, apns("one"))
	wants(t, "unknown project", err, ErrNotFound)
	if rows, _ := st.Scan(t.Context(), credentialsOf(p.ID), "", "", 10); len(rows) != 0 {
		t.Error("stored all the same:", len(rows))
	}
}

func TestTampering(t *testing.T) {
	s, st := fresh(t)
	p, _ := project(t, s)
	other, _ := project(t, s)
	c := set(t, s, p.ID, apns("one"))
	set(t, s, p.ID, provider.Credential{Provider: tocsin.WebPush, WebPush: &provider.WebPush{Subject: "https://a"}})
	set(t, s, other.ID, apns("theirs"))
	row, err := st.GetLatest(t.Context(), credentialsOf(p.ID), "apns")
	if err != nil {
		t.Fatal(err)
	}
	overwrite := func(project tocsin.ProjectID, key string, value []byte) {
		t.Helper()
		now, _ := st.GetLatest(t.Context(), credentialsOf(project), key)
		if ok, _, err := st.PutIf(t.Context(), credentialsOf(project), key, now.Value, value, time.Time{}); !ok {
			t.Fatal(err)
		}
	}
	tamper := func(change func(*credentialRow)) []byte {
		var r credentialRow
		if err := json.Unmarshal(row.Value, &r); err != nil {
			t.Fatal(err)
		}
		change(&r)
		value, _ := json.Marshal(r)
		return value
	}
	for what, change := range map[string]func(*credentialRow){
		"flipped bit":      func(r *credentialRow) { r.Sealed[len(r.Sealed)/2] ^= 1 },
		"cut":              func(r *credentialRow) { r.Sealed = r.Sealed[:5] },
		"empty":            func(r *credentialRow) { r.Sealed = nil },
		"another version":  func(r *credentialRow) { r.Version++ },
		"another id":       func(r *credentialRow) { r.ID[0] ^= 1 },
		"another provider": func(r *credentialRow) { r.Provider = tocsin.FCM },
	} {
		overwrite(p.ID, "apns", tamper(change))
		_, err := s.Credential(t.Context(), p.ID, tocsin.APNs)
		wants(t, what, err, ErrDamaged)
		all, err := s.Credentials(t.Context(), p.ID)
		wants(t, what, err, ErrDamaged)
		if len(all) != 2 || all[1].Provider != tocsin.WebPush || all[1].WebPush == nil {
			t.Fatalf("%s: the sound one is not given: %d", what, len(all))
		}
		// The other one has its name, for pushes to wait for.
		if bad := all[0]; (bad.ID == c.ID) == (what == "another id") || bad.Provider != tocsin.APNs || bad.APNs != nil {
			t.Errorf("%s: it is called %v", what, bad)
		}
		if !strings.Contains(err.Error(), all[0].String()) || !strings.Contains(err.Error(), p.ID.String()) {
			t.Errorf("%s: the message does not name it: %v", what, err)
		}
	}
	overwrite(p.ID, "apns", []byte("{"))
	lost, err := s.Credential(t.Context(), p.ID, tocsin.APNs)
	wants(t, "no row", err, ErrDamaged)
	if lost.ID.IsZero() || lost.Provider != tocsin.APNs {
		t.Errorf("a lost one is called %v", lost)
	}
	if again := set(t, s, p.ID, apns("new")); again.ID != lost.ID || again.Version < 1_000_000 {
		t.Errorf("a lost one was replaced by %v", parts(again))
	}
	overwrite(p.ID, "apns", []byte(`{"v":2}`))
	if _, err = s.Credential(t.Context(), p.ID, tocsin.APNs); err == nil || errors.Is(err, ErrDamaged) {
		t.Error("a row of a newer build:", err)
	}

	// Moved to another project.
	overwrite(other.ID, "apns", row.Value)
	_, err = s.Credential(t.Context(), other.ID, tocsin.APNs)
	wants(t, "moved", err, ErrDamaged)

	// One that does not open is replaced by a whole one only.
	overwrite(p.ID, "apns", tamper(func(r *credentialRow) { r.Sealed = nil }))
	_, err = s.SetCredential(t.Context(), p.ID, apns(""))
	wants(t, "kept key", err, ErrDamaged)
	if again := set(t, s, p.ID, apns("new")); again.ID != c.ID || again.Version != 2 {
		t.Errorf("%v", parts(again))
	}
}

// lossy answers every conditional put with "not known", after doing it or not.
type lossy struct {
	store.Store
	lose bool
}

func (l *lossy) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	if !l.lose {
		if _, _, err := l.Store.PutIf(ctx, at, key, old, value, expires); err != nil {
			return false, store.Row{}, err
		}
	}
	return false, store.Row{}, store.ErrAmbiguous
}

func TestAmbiguousPut(t *testing.T) {
	st := &lossy{Store: mem.New(time.Now)}
	s := open(t, st, filepath.Join(t.TempDir(), "key"))
	p, _ := project(t, s)
	if c := set(t, s, p.ID, apns("one")); c.Version != 1 {
		t.Error(c.Version)
	}
	st.lose = true
	_, err := s.SetCredential(t.Context(), p.ID, apns("two"))
	wants(t, "lost", err, ErrConflict)
	if c, _ := s.Credential(t.Context(), p.ID, tocsin.APNs); c.Version != 1 || string(c.APNs.Key) != "one" {
		t.Error(parts(c))
	}
}

func TestNoSecretIsStoredOrShown(t *testing.T) {
	st := mem.New(time.Now)
	s := open(t, st, filepath.Join(t.TempDir(), "key"))
	p, first := project(t, s)
	c := set(t, s, p.ID, apns("-----BEGIN PRIVATE KEY-----"))
	web := set(t, s, p.ID, provider.Credential{Provider: tocsin.WebPush, WebPush: &provider.WebPush{Subject: "https://a"}})
	caller, _ := s.Authenticate(t.Context(), first.Reveal())
	keys, _ := s.Keys(t.Context(), p.ID)
	install, hash := MintInstallSecret()

	var shown bytes.Buffer
	for _, each := range []any{first, &first, c, web, caller, keys, install, struct{ Key Secret }{first}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&shown, verb+"\n", each)
		}
		if err := json.NewEncoder(&shown).Encode(each); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&shown, nil)).Info("a", "b", each)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("a", "b", each)
	}
	for _, at := range []store.Place{platform, projectsPlace(), keysOf(p.ID), lookupOf(first.hash()), credentialsOf(p.ID)} {
		rows, err := st.Scan(t.Context(), at, "", "", 100)
		if err != nil || len(rows) == 0 {
			t.Fatal(at, len(rows), err)
		}
		for _, row := range rows {
			fmt.Fprintf(&shown, "%s %s\n", row.Key, row.Value)
		}
	}
	shown.Write(hash)
	for what, secret := range map[string][]byte{
		"key": []byte(first.Reveal()), "APNs key": c.APNs.Key, "VAPID key": web.WebPush.PrivateKey, "install secret": []byte(install.Reveal()),
	} {
		for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), strings.Trim(fmt.Sprint(secret), "[]")} {
			if strings.Contains(shown.String(), form) {
				t.Errorf("the %s is shown as %s", what, form)
			}
		}
	}
}
