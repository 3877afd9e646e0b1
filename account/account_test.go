package account

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

// offered stands for the providers' own rooms: it refuses an APNs team "BAD".
type offered struct{ provider.Provider }

func (offered) Check(c provider.Credential) error {
	if c.APNs != nil && c.APNs.TeamID == "BAD" {
		return errors.New("no such team")
	}
	if c.APNs != nil && len(c.APNs.Key) == 0 || c.FCM != nil && len(c.FCM.ServiceAccount) == 0 {
		return errors.New("no key")
	}
	return nil
}

func config(keyFile string) Config {
	return Config{KeyFile: keyFile, Providers: map[tocsin.Provider]provider.Provider{
		tocsin.APNs: offered{}, tocsin.FCM: offered{}, tocsin.WebPush: offered{},
	}}
}

func open(t *testing.T, st store.Store, keyFile string) *Service {
	t.Helper()
	s, err := Open(t.Context(), st, config(keyFile))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func fresh(t *testing.T) (*Service, store.Store) {
	st := mem.New(time.Now)
	return open(t, st, filepath.Join(t.TempDir(), "key")), st
}

func project(t *testing.T, s *Service) (Project, Secret) {
	t.Helper()
	p, key, err := s.CreateProject(t.Context(), "Le Monde", tocsin.Production, []string{"https://WWW.example.com:443/"})
	if err != nil {
		t.Fatal(err)
	}
	return p, key
}

// wants fails unless err is of the kind.
func wants(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%s: have %v, want %v", what, err, kind)
	}
}

// refused fails unless err names the path.
func refused(t *testing.T, err error, path string) {
	t.Helper()
	if bad := (*Invalid)(nil); !errors.As(err, &bad) || bad.Path != path {
		t.Errorf("have %v, want %s refused", err, path)
	}
}

func TestProjects(t *testing.T) {
	s, _ := fresh(t)
	p, _ := project(t, s)
	if !p.AllowsOrigin("https://www.example.com") || p.AllowsOrigin("https://example.com") || p.AllowsOrigin("") {
		t.Error("origins", p.Origins)
	}
	if have, err := s.Project(t.Context(), p.ID); err != nil || !reflect.DeepEqual(have, p) {
		t.Errorf("have %+v, %v", have, err)
	}
	name, origins, weight := "Le Monde (essai)", []string{"http://localhost:8080"}, 3
	changed, err := s.UpdateProject(t.Context(), p.ID, ProjectChange{Name: &name, Origins: &origins, Weight: &weight})
	if err != nil || changed.Name != name || p.Weight != 1 || changed.Weight != 3 || !changed.AllowsOrigin("http://localhost:8080") || changed.DeviceKey != p.DeviceKey {
		t.Error(changed, err)
	}
	if have, _ := s.Project(t.Context(), p.ID); !reflect.DeepEqual(have, changed) {
		t.Errorf("still answers %+v", have)
	}
	if have, err := s.Weight(t.Context(), p.ID); err != nil || have != 3 {
		t.Error(have, err)
	}
	for _, weight = range []int{-1, 0, MaxWeight + 1} {
		var bad *Invalid
		if _, err := s.UpdateProject(t.Context(), p.ID, ProjectChange{Weight: &weight}); !errors.As(err, &bad) || bad.Path != "weight" {
			t.Errorf("weight %d: %v", weight, err)
		}
	}
	other, _ := project(t, s)
	if list, err := s.Projects(t.Context(), tocsin.ProjectID{}, 10); err != nil || len(list) != 2 {
		t.Error(list, err)
	}
	first := min(p.ID.String(), other.ID.String())
	var after tocsin.ProjectID
	if err := after.UnmarshalText([]byte(first)); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Projects(t.Context(), after, 10); err != nil || len(list) != 1 || list[0].ID.String() == first {
		t.Error(list, err)
	}
	_, err = s.Project(t.Context(), tocsin.ProjectID{1})
	wants(t, "unknown project", err, ErrNotFound)
}

func TestProjectRefused(t *testing.T) {
	s, _ := fresh(t)
	for origin, ok := range map[string]bool{
		"https://a.example": true, "https://a.example:8443": true, "http://127.0.0.1:1": true, "http://[::1]:1": true,
		"http://a.example": false, "https://": false, "a.example": false, "https://*.example": false, "*": false, "null": false,
		"https://a.example/b": false, "https://u@a.example": false, "https://a.example?b": false, "ftp://a.example": false,
	} {
		_, _, err := s.CreateProject(t.Context(), "a", tocsin.Production, []string{"https://x.example", origin})
		if ok && err != nil {
			t.Errorf("%s: %v", origin, err)
		}
		if !ok {
			refused(t, err, "origins[1]")
		}
	}
	_, _, err := s.CreateProject(t.Context(), "", tocsin.Production, nil)
	refused(t, err, "name")
	_, _, err = s.CreateProject(t.Context(), "a\nb", tocsin.Production, nil)
	refused(t, err, "name")
	_, _, err = s.CreateProject(t.Context(), "a", 0, nil)
	refused(t, err, "environment")
}

func TestAuthenticate(t *testing.T) {
	s, _ := fresh(t)
	p, first := project(t, s)
	c, err := s.Authenticate(t.Context(), first.Reveal())
	if err != nil || c.Project != p.ID || c.Environment != tocsin.Production || c.Scopes != AllScopes || c.Platform() {
		t.Errorf("first key: %+v, %v", c, err)
	}
	if c, err = s.Authenticate(t.Context(), p.DeviceKey); err != nil || c.Scopes != Device || c.Scopes.Has(Read) {
		t.Errorf("device key: %+v, %v", c, err)
	}
	key, secret, err := s.CreateKey(t.Context(), p.ID, "counter", Read, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err = s.Authenticate(t.Context(), secret.Reveal()); err != nil || c.Key != key.ID || !c.Scopes.Has(Read) || c.Scopes.Has(Read|Send) {
		t.Errorf("key: %+v, %v", c, err)
	}
	for _, text := range []string{"", "tcs_", mint(serverPrefix).Reveal(), secret.Reveal() + "0", strings.ToUpper(secret.Reveal()), mint(installPrefix).Reveal()} {
		_, err := s.Authenticate(t.Context(), text)
		wants(t, text, err, ErrUnauthenticated)
	}
	if keys, err := s.Keys(t.Context(), p.ID); err != nil || len(keys) != 3 || !reflect.DeepEqual(keys[2], key) && !reflect.DeepEqual(keys[1], key) && !reflect.DeepEqual(keys[0], key) {
		t.Errorf("%+v, %v", keys, err)
	}
	_, _, err = s.CreateKey(t.Context(), tocsin.ProjectID{1}, "a", Read, time.Time{})
	wants(t, "unknown project", err, ErrNotFound)
	_, _, err = s.CreateKey(t.Context(), p.ID, "a", Device, time.Time{})
	refused(t, err, "scopes")
	_, _, err = s.CreateKey(t.Context(), p.ID, "a", Read, time.Now())
	refused(t, err, "expires")
}

func TestKeysEnd(t *testing.T) {
	folder := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		st := mem.New(time.Now)
		here, there := open(t, st, filepath.Join(folder, "key")), open(t, st, filepath.Join(folder, "key"))
		p, first := project(t, here)
		both := func() (error, error) {
			_, h := here.Authenticate(t.Context(), first.Reveal())
			_, th := there.Authenticate(t.Context(), first.Reveal())
			return h, th
		}
		if h, th := both(); h != nil || th != nil {
			t.Fatal(h, th)
		}
		c, _ := here.Authenticate(t.Context(), first.Reveal())
		if err := here.RevokeKey(t.Context(), p.ID, c.Key); err != nil {
			t.Fatal(err)
		}
		h, _ := both()
		wants(t, "where it was revoked, at once", h, ErrUnauthenticated)
		<-time.After(Fresh)
		_, th := both()
		wants(t, "elsewhere, a second later", th, ErrUnauthenticated)
		if err := here.RevokeKey(t.Context(), p.ID, c.Key); err != nil {
			t.Error("a second time:", err)
		}
		wants(t, "unknown key", here.RevokeKey(t.Context(), p.ID, tocsin.KeyID{1}), ErrNotFound)

		_, short, err := here.CreateKey(t.Context(), p.ID, "short", Send, time.Now().Add(time.Millisecond))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := here.Authenticate(t.Context(), short.Reveal()); err != nil {
			t.Error(err)
		}
		<-time.After(time.Millisecond)
		_, err = here.Authenticate(t.Context(), short.Reveal())
		wants(t, "expired while remembered", err, ErrUnauthenticated)

		if keys, _ := here.Keys(t.Context(), p.ID); len(keys) != 3 {
			t.Error("ended keys are listed for a while:", keys)
		}
		<-time.After(KeyMemory)
		if keys, _ := here.Keys(t.Context(), p.ID); len(keys) != 1 || keys[0].Scopes != Device {
			t.Error("ended keys are listed for ever:", keys)
		}
	})
}

func TestFirstKey(t *testing.T) {
	s, st := fresh(t)
	full := errors.New("disk full")
	_, err := s.FirstKey(t.Context(), func(Secret) error { return full })
	wants(t, "not delivered", err, full)
	var text Secret
	made, err := s.FirstKey(t.Context(), func(secret Secret) error {
		text = secret
		_, err := s.Authenticate(t.Context(), secret.Reveal())
		wants(t, "before it is delivered", err, ErrUnauthenticated)
		return nil
	})
	if !made || err != nil {
		t.Fatal(made, err)
	}
	if c, err := s.Authenticate(t.Context(), text.Reveal()); err != nil || !c.Platform() || !c.Scopes.Has(Admin) {
		t.Error(c, err)
	}
	if made, err := s.FirstKey(t.Context(), func(Secret) error { return errors.New("again") }); made || err != nil {
		t.Error(made, err)
	}
	// Two processes at the same first start.
	st = mem.New(time.Now)
	s = open(t, st, filepath.Join(t.TempDir(), "key"))
	var lost Secret
	made, err = s.FirstKey(t.Context(), func(secret Secret) error {
		lost = secret
		won, err := s.FirstKey(t.Context(), func(Secret) error { return nil })
		if !won {
			t.Error("the faster one made none")
		}
		return err
	})
	if made || err != nil {
		t.Error(made, err)
	}
	_, err = s.Authenticate(t.Context(), lost.Reveal())
	wants(t, "key of the slower one", err, ErrUnauthenticated)
}

func TestLimits(t *testing.T) {
	s, _ := fresh(t)
	p, _ := project(t, s)
	var err error
	made := 2 // the device key and the first
	for ; err == nil; made++ {
		_, _, err = s.CreateKey(t.Context(), p.ID, "a", Read, time.Time{})
	}
	wants(t, "keys", err, ErrLimit)
	if made-1 != MaxKeys {
		t.Errorf("%d keys", made-1)
	}
}

func TestKeyFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "key")
	st := mem.New(time.Now)
	open(t, st, file)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*")); len(left) != 1 {
		t.Error("left behind:", left)
	}
	open(t, st, file) // a second start
	try := func(what string, st store.Store) {
		t.Helper()
		_, err := Open(context.Background(), st, config(file))
		wants(t, what, err, ErrKeyFile)
		if err != nil && !strings.Contains(err.Error(), file) {
			t.Errorf("%s: the file is not named: %v", what, err)
		}
	}
	right, _ := os.ReadFile(file)
	os.Chmod(file, 0o640)
	try("others may read it", st)
	os.Chmod(file, 0o600)
	for what, content := range map[string]string{"empty": "", "torn": string(right[:20]), "no key": "hello"} {
		os.WriteFile(file, []byte(content), 0o600)
		try(what, st)
		try(what+", with an empty store", mem.New(time.Now))
	}
	os.Remove(file)
	try("missing", st)
	if _, err := os.Stat(file); err == nil {
		t.Error("another key is made in place of the missing one")
	}
	open(t, mem.New(time.Now), file)
	try("of another store", st)
	os.WriteFile(file, right, 0o600)
	open(t, st, file)
}

// Whoever can write the store cannot make one key open another's door.
func TestLookupMoved(t *testing.T) {
	s, st := fresh(t)
	_, first := project(t, s)
	_, other := project(t, s)
	theirs, err := st.GetLatest(t.Context(), lookupOf(other.hash()), lookupKey)
	if err != nil {
		t.Fatal(err)
	}
	own, _ := st.GetLatest(t.Context(), lookupOf(first.hash()), lookupKey)
	if ok, _, err := st.PutIf(t.Context(), lookupOf(first.hash()), lookupKey, own.Value, theirs.Value, time.Time{}); !ok {
		t.Fatal(err)
	}
	_, err = s.Authenticate(t.Context(), first.Reveal())
	wants(t, "moved", err, ErrUnauthenticated)
}
