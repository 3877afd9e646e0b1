package account

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/store"
)

// Key is an API key without its text, which nobody has but its owner.
type Key struct {
	ID      tocsin.KeyID
	Project tocsin.ProjectID // zero: a key of the platform, good for every project
	Name    string
	Scopes  Scopes
	Created time.Time
	Expires time.Time // zero: never
	Revoked time.Time // zero: not
}

// Live reports whether the key works.
func (k Key) Live(now time.Time) bool {
	return k.Revoked.IsZero() && (k.Expires.IsZero() || now.Before(k.Expires))
}

// keyRow is Key as it is stored.
type keyRow struct {
	V       int              `json:"v"`
	ID      tocsin.KeyID     `json:"id"`
	Project tocsin.ProjectID `json:"project"`
	Name    string           `json:"name"`
	Scopes  Scopes           `json:"scopes"`
	Created time.Time        `json:"created"`
	Expires time.Time        `json:"expires,omitzero"`
	Revoked time.Time        `json:"revoked,omitzero"`
	Hash    []byte           `json:"hash"`
}

func (r keyRow) key() Key {
	return Key{r.ID, r.Project, r.Name, r.Scopes, r.Created, r.Expires, r.Revoked}
}

// lookupRow tells where the key of a hash is kept. It never changes.
type lookupRow struct {
	V       int              `json:"v"`
	Project tocsin.ProjectID `json:"project"`
	Key     tocsin.KeyID     `json:"key"`
}

func keysOf(project tocsin.ProjectID) store.Place {
	if project.IsZero() {
		return store.Place{Table: "account_keys", Partition: "platform"}
	}
	return store.Place{Table: "account_keys", Partition: project.String()}
}

func lookupOf(hash [32]byte) store.Place {
	return store.Place{Table: "account_key_lookup", Partition: hex.EncodeToString(hash[:])}
}

const lookupKey = "key"

func makeID[I ~[16]byte](now time.Time) I {
	var entropy [10]byte
	rand.Read(entropy[:]) // never fails
	return tocsin.MakeID[I](now, entropy)
}

// CreateKey makes a key of a project, or of the platform when project is zero.
// Its text is returned here and never again. A zero expires is never.
func (s *Service) CreateKey(ctx context.Context, project tocsin.ProjectID, name string, scopes Scopes, expires time.Time) (Key, Secret, error) {
	now := instant()
	if err := checkName("name", name); err != nil {
		return Key{}, Secret{}, err
	}
	if scopes == 0 || scopes&^AllScopes != 0 {
		return Key{}, Secret{}, invalid("scopes", "want at least one of send, audience, read, admin")
	}
	if !expires.IsZero() && !expires.After(now) {
		return Key{}, Secret{}, invalid("expires", "lies in the past")
	}
	if !project.IsZero() {
		if _, err := s.Project(ctx, project); err != nil {
			return Key{}, Secret{}, err
		}
	}
	if rows, err := s.store.Scan(ctx, keysOf(project), "", "", MaxKeys); err != nil {
		return Key{}, Secret{}, err
	} else if len(rows) >= MaxKeys {
		return Key{}, Secret{}, fmt.Errorf("%w: %d keys, revoked ones of the last 90 days included", ErrLimit, MaxKeys)
	}
	secret := mint(serverPrefix)
	key, err := s.addKey(ctx, Key{Project: project, Name: name, Scopes: scopes, Created: now, Expires: expires}, secret)
	return key, secret, err
}

// addKey stores the way to the key before the key: what a crash leaves behind
// in between is listed nowhere and opens nothing.
func (s *Service) addKey(ctx context.Context, key Key, secret Secret) (Key, error) {
	key.ID = makeID[tocsin.KeyID](key.Created)
	hash := secret.hash()
	var forget time.Time
	if !key.Expires.IsZero() {
		forget = key.Expires.Add(KeyMemory)
	}
	lookup := lookupRow{format, key.Project, key.ID}
	if err := put(ctx, s.store, lookupOf(hash), lookupKey, nil, lookup, forget); err != nil {
		return Key{}, err
	}
	row := keyRow{format, key.ID, key.Project, key.Name, key.Scopes, key.Created, key.Expires, key.Revoked, hash[:]}
	return key, put(ctx, s.store, keysOf(key.Project), key.ID.String(), nil, row, forget)
}

// Keys lists the keys of a project, or of the platform, oldest first, those
// included that ended in the last 90 days.
func (s *Service) Keys(ctx context.Context, project tocsin.ProjectID) ([]Key, error) {
	// Creations at the same instant may have gone over MaxKeys.
	rows, err := s.store.Scan(ctx, keysOf(project), "", "", store.MaxScan)
	if err != nil {
		return nil, err
	}
	keys := make([]Key, len(rows))
	for i, row := range rows {
		var r keyRow
		if err := decode(keysOf(project), row, &r); err != nil {
			return nil, err
		}
		keys[i] = r.key()
	}
	return keys, nil
}

// RevokeKey ends a key: in this process at once, elsewhere within Fresh.
func (s *Service) RevokeKey(ctx context.Context, project tocsin.ProjectID, id tocsin.KeyID) error {
	now := instant()
	var row keyRow
	old, err := read(ctx, s.store, keysOf(project), id.String(), &row)
	if err != nil {
		return err
	}
	hash := [32]byte(row.Hash)
	defer func() { s.callers.forget(hash) }()
	if row.Revoked.IsZero() {
		row.Revoked = now
		if err := put(ctx, s.store, keysOf(project), id.String(), old, row, now.Add(KeyMemory)); err != nil {
			return err
		}
	}
	// The key's own row decides; this only frees the place.
	way, err := read(ctx, s.store, lookupOf(hash), lookupKey, new(lookupRow))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		_, _, err = s.store.PutIf(ctx, lookupOf(hash), lookupKey, way, nil, time.Time{})
	}
	return err
}

const firstKey = "first_key"

// FirstKey makes the first key of the platform, once in the life of a store.
// deliver is to put the text where the operator finds it, such as a file of
// mode 0600; it is called before the key works, so that no crash leaves a
// store that nobody can enter. When made is false after deliver was called,
// another process was faster and what was delivered opens nothing.
func (s *Service) FirstKey(ctx context.Context, deliver func(Secret) error) (made bool, err error) {
	type mark struct {
		V   int          `json:"v"`
		Key tocsin.KeyID `json:"key"`
	}
	if _, err := read(ctx, s.store, platform, firstKey, new(mark)); !errors.Is(err, ErrNotFound) {
		return false, err
	}
	secret := mint(serverPrefix)
	if err := deliver(secret); err != nil {
		return false, err
	}
	key, err := s.addKey(ctx, Key{Name: "first key", Scopes: AllScopes, Created: instant()}, secret)
	if err != nil {
		return false, err
	}
	err = put(ctx, s.store, platform, firstKey, nil, mark{format, key.ID}, time.Time{})
	if errors.Is(err, ErrConflict) {
		return false, s.RevokeKey(ctx, tocsin.ProjectID{}, key.ID)
	}
	return err == nil, err
}

// checkName allows 1 to 100 characters that can be printed.
func checkName(path, name string) error {
	if n := utf8.RuneCountInString(name); n < 1 || n > 100 || !utf8.ValidString(name) {
		return invalid(path, "want 1 to 100 characters")
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return invalid(path, "a character in it cannot be printed")
		}
	}
	return nil
}
