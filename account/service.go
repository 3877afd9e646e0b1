package account

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/store"
)

const (
	// MaxProjects bounds an installation's projects.
	MaxProjects = store.MaxScan
	// MaxKeys bounds a project's keys, revoked and expired ones included.
	MaxKeys = 1000
	// KeyMemory is how long a key stays listed after it ended.
	KeyMemory = 90 * 24 * time.Hour
	// Fresh is how long an answer from memory may lag behind the store: a key
	// revoked by another process works no longer than that.
	Fresh = time.Second
)

var (
	ErrNotFound        = errors.New("account: no such project, key or credential")
	ErrUnauthenticated = errors.New("account: the key is not known, revoked or expired")
	ErrConflict        = errors.New("account: changed by somebody else at the same time")
	ErrLimit           = errors.New("account: the limit is reached")
	ErrKeyFile         = errors.New("account: key file")
	ErrDamaged         = errors.New("account: damaged or tampered with")
)

// Invalid says what is wrong with what a caller gave, and where.
type Invalid struct {
	Path    string // such as endpoints[0].origin
	Problem string
}

func (e *Invalid) Error() string { return e.Path + ": " + e.Problem }

func invalid(path, format string, args ...any) error {
	return &Invalid{Path: path, Problem: fmt.Sprintf(format, args...)}
}

// Config says where the key file is and which providers there are.
type Config struct {
	// KeyFile seals the credentials. It is made at the first start, and its
	// mode must be 0600.
	KeyFile string
	// Providers check credentials before they are taken. One of a provider
	// that is not here is refused.
	Providers map[tocsin.Provider]provider.Provider
}

// Validate tells what is missing.
func (c Config) Validate() error {
	if c.KeyFile == "" {
		return errors.New("account: no key file named")
	}
	return nil
}

// Service answers for projects, keys and credentials. All methods may be
// called at once.
type Service struct {
	store     store.Store
	providers map[tocsin.Provider]provider.Provider
	seal      sealer
	callers   cache[[32]byte, keyRow]
	projects  cache[tocsin.ProjectID, Project]

	ids    cache[tocsin.ProjectID, map[tocsin.Provider]tocsin.CredentialID]
	asking singleflight.Group // for them
	sets   atomic.Uint64      // of credentials

	setting   sync.Mutex // held while a credential is replaced and told
	onReplace []func(provider.Credential)
	told      map[string]uint64 // versions of credentials that were, by identifier
}

// Open reads the key file, or makes it at the first start, and refuses one
// that is not the store's.
func Open(ctx context.Context, st store.Store, c Config) (*Service, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	key, err := openKeyFile(ctx, st, c.KeyFile)
	if err != nil {
		return nil, err
	}
	return &Service{store: st, providers: c.Providers, seal: newSealer(key)}, nil
}

// format is the version of every row's JSON.
const format = 1

var platform = store.Place{Table: "account_platform", Partition: "platform"}

// instant is the time as rows keep it.
func instant() time.Time { return time.Now().UTC().Round(0) }

// read fetches a row and its bytes as they are now.
func read(ctx context.Context, st store.Store, at store.Place, key string, into any) ([]byte, error) {
	row, err := st.GetLatest(ctx, at, key)
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return row.Value, decode(at, row, into)
}

func decode(at store.Place, row store.Row, into any) error {
	var version struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(row.Value, &version); err != nil || version.V == 0 {
		return fmt.Errorf("%w: row %s of %s", ErrDamaged, row.Key, at.Table)
	}
	if version.V > format {
		return fmt.Errorf("account: row %s of %s has format %d, this build reads up to %d", row.Key, at.Table, version.V, format)
	}
	if err := json.Unmarshal(row.Value, into); err != nil {
		return fmt.Errorf("%w: row %s of %s", ErrDamaged, row.Key, at.Table)
	}
	return nil
}

// put writes a row in place of old, nil for none, or returns ErrConflict.
func put(ctx context.Context, st store.Store, at store.Place, key string, old []byte, value any, expires time.Time) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	ok, _, err := st.PutIf(ctx, at, key, old, data, expires)
	if errors.Is(err, store.ErrAmbiguous) {
		var row store.Row
		if row, err = st.GetLatest(ctx, at, key); errors.Is(err, store.ErrNotFound) {
			return ErrConflict
		}
		ok = err == nil && bytes.Equal(row.Value, data)
	}
	if err == nil && !ok {
		return ErrConflict
	}
	return err
}
