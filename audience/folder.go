package audience

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
)

// ErrDamaged: a snapshot file is torn or altered. The message names the file.
var ErrDamaged = errors.New("audience: snapshot file is damaged")

// Folder keeps the snapshot files of all shards. A file appears under its name
// only when it is whole, read back and durable, and never changes then. All
// methods may be called at once; files are written one at a time.
type Folder struct {
	fs      vfs.FS
	dir     string
	gate    chan struct{}
	metrics *metrics
	small   int // bytes of a project up to which it is stored as one part
	buffer  int // bytes that are written at once
}

const (
	fileEnd   = ".snapshot"
	fileDraft = ".draft"
)

// snapshotID names a snapshot of a shard: the position that it is of, and which
// of that position it is.
type snapshotID struct{ applied, again uint64 }

func (id snapshotID) before(other snapshotID) int {
	return cmp.Or(cmp.Compare(id.applied, other.applied), cmp.Compare(id.again, other.again))
}

// OpenFolder makes the folder if need be and removes drafts that a crash left.
func OpenFolder(fs vfs.FS, dir string, r prometheus.Registerer) (*Folder, error) {
	m, err := newMetrics(r)
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	f := &Folder{fs: fs, dir: dir, gate: make(chan struct{}, 1), metrics: m, small: bundleBytes, buffer: 1 << 20}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	if err := syncFolder(fs, fs.PathDir(dir)); err != nil { // else a power loss takes the whole folder
		return nil, err
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, fileDraft) {
			if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
				return nil, fmt.Errorf("audience: %w", err)
			}
		}
	}
	return f, nil
}

func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}

// turn waits until no other snapshot is being made.
func (f *Folder) turn(ctx context.Context) (done func(), err error) {
	select {
	case f.gate <- struct{}{}:
		return func() { <-f.gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *Folder) path(shard tocsin.Shard, id snapshotID) string {
	again := ""
	if id.again > 0 {
		again = fmt.Sprintf("-%d", id.again)
	}
	return f.fs.PathJoin(f.dir, fmt.Sprintf("%04d-%020d%s%s", shard, id.applied, again, fileEnd))
}

// list returns the files of a shard, the newest first.
func (f *Folder) list(shard tocsin.Shard) (ids []snapshotID, err error) {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	for _, name := range names {
		var of tocsin.Shard
		var id snapshotID
		name, ok := strings.CutSuffix(name, fileEnd)
		if n, _ := fmt.Sscanf(name, "%04d-%020d-%d", &of, &id.applied, &id.again); ok && n >= 2 && of == shard && f.path(shard, id) == f.fs.PathJoin(f.dir, name+fileEnd) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b snapshotID) int { return b.before(a) })
	return ids, nil
}

func (f *Folder) remove(shard tocsin.Shard, id snapshotID) error {
	if err := f.fs.Remove(f.path(shard, id)); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}
