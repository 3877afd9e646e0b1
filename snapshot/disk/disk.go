package disk

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/snapshot"
)

// Folder is an engine of snapshot.
type Folder struct {
	fs     vfs.FS
	dir    string
	buffer int // bytes that are written at once

	mu    sync.Mutex // held while a file comes or goes
	takes int
	owner map[tocsin.Shard]*files
}

const (
	fileEnd  = ".snapshot"
	draftEnd = ".draft"
)

var _ snapshot.Engine = (*Folder)(nil)

// Open makes the folder if need be and removes drafts that a crash left.
func Open(fs vfs.FS, dir string) (*Folder, error) {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	if err := syncFolder(fs, fs.PathDir(dir)); err != nil { // else a power loss takes the whole folder
		return nil, err
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, draftEnd) {
			if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
				return nil, fmt.Errorf("snapshot: %w", err)
			}
		}
	}
	return &Folder{fs: fs, dir: dir, buffer: 1 << 20, owner: make(map[tocsin.Shard]*files)}, nil
}

func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// Take is snapshot.Engine.
func (f *Folder) Take(_ context.Context, shard tocsin.Shard) (snapshot.Files, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.takes++
	files := &files{f, shard, f.takes}
	f.owner[shard] = files
	return files, nil
}

// files are those of a shard, while they are its owner's.
type files struct {
	folder *Folder
	shard  tocsin.Shard
	take   int // names its drafts: one of an earlier owner may still be written
}

// owned takes the lock, for something that only the owner does; the caller lets go
// of it. On an error it is not held.
func (s *files) owned() error {
	s.folder.mu.Lock()
	if s.folder.owner[s.shard] != s {
		s.folder.mu.Unlock()
		return snapshot.ErrSuperseded
	}
	return nil
}

// Name is the path of a file.
func (s *files) Name(id snapshot.ID) string {
	again := ""
	if id.Again > 0 {
		again = fmt.Sprintf("-%d", id.Again)
	}
	return s.folder.fs.PathJoin(s.folder.dir, fmt.Sprintf("%04d-%020d%s%s", s.shard, id.Position, again, fileEnd))
}

func (s *files) List() (ids []snapshot.ID, err error) {
	fs, dir := s.folder.fs, s.folder.dir
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	for _, name := range names {
		var of tocsin.Shard
		var id snapshot.ID
		name, ok := strings.CutSuffix(name, fileEnd)
		if n, _ := fmt.Sscanf(name, "%04d-%020d-%d", &of, &id.Position, &id.Again); ok && n >= 2 && of == s.shard && s.Name(id) == fs.PathJoin(dir, name+fileEnd) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b snapshot.ID) int { return b.Before(a) })
	return ids, nil
}

func (s *files) Remove(_ context.Context, ids ...snapshot.ID) error {
	if err := s.owned(); err != nil {
		return err
	}
	defer s.folder.mu.Unlock()
	for _, id := range ids {
		if err := s.folder.fs.Remove(s.Name(id)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	return nil
}

// file is one that is open for reading.
type file struct {
	vfs.File
	size uint64
}

func (f *file) Size() uint64 { return f.size }

func (s *files) Open(_ context.Context, id snapshot.ID) (snapshot.File, error) {
	return open(s.folder.fs, s.Name(id))
}

// open says of a file that cannot be read that it is damaged: there is no other way
// to it.
func open(fs vfs.FS, path string) (snapshot.File, error) {
	f, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", snapshot.ErrDamaged, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", snapshot.ErrDamaged, err), f.Close())
	}
	return &file{f, uint64(info.Size())}, nil
}
