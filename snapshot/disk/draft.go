package disk

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/snapshot"
)

// draft is a file that has not got its name.
type draft struct {
	files  *files
	ctx    context.Context
	path   string // of the draft
	name   string // of the file
	out    vfs.File
	space  []byte // not written yet
	offset uint64
	looked uint64 // where the room on the disk was looked at last
	over   bool   // kept or dropped
}

// floor is how much room a snapshot leaves on the disk, for what saves and trims
// more than it takes.
const floor = 128 << 20

// room is an error when the disk is nearly full. Where nobody can tell, it is not.
func (d *draft) room() error {
	usage, err := d.files.folder.fs.GetDiskUsage(d.files.folder.dir)
	if d.looked = d.offset; err == nil && usage.AvailBytes < floor {
		return fmt.Errorf("snapshot: %d bytes are free on the disk, a snapshot leaves %d: %w", usage.AvailBytes, int64(floor), syscall.ENOSPC)
	}
	return nil
}

func (s *files) Create(ctx context.Context, id snapshot.ID) (snapshot.Draft, error) {
	if err := s.owned(); err != nil {
		return nil, err
	}
	defer s.folder.mu.Unlock()
	path := fmt.Sprintf("%s-%d%s", s.Name(id), s.take, draftEnd)
	out, err := s.folder.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	d := &draft{files: s, ctx: ctx, path: path, name: s.Name(id), out: out, space: make([]byte, 0, s.folder.buffer)}
	if err := d.room(); err != nil {
		return nil, errors.Join(err, d.Drop())
	}
	return d, nil
}

func (d *draft) Write(b []byte) (n int, err error) {
	if err := d.ctx.Err(); err != nil {
		return 0, err
	}
	if d.offset-d.looked > 16<<20 {
		if err := d.room(); err != nil {
			return 0, err
		}
	}
	d.offset += uint64(len(b))
	n = len(b)
	for len(b) > 0 {
		n := min(len(b), cap(d.space)-len(d.space))
		if d.space, b = append(d.space, b[:n]...), b[n:]; len(d.space) == cap(d.space) {
			if err := d.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// flush writes what is in space. A vfs.File may change what it is given to write:
// that is why it is copied there.
func (d *draft) flush() error {
	_, err := d.out.Write(d.space)
	if d.space = d.space[:0]; err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

func (d *draft) Done() (snapshot.File, error) {
	err := d.flush()
	if err == nil {
		err = d.out.Sync()
	}
	err = errors.Join(err, d.out.Close())
	if d.out = nil; err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return open(d.files.folder.fs, d.path)
}

func (d *draft) Keep() error {
	if err := d.files.owned(); err != nil {
		return err
	}
	defer d.files.folder.mu.Unlock()
	fs := d.files.folder.fs
	if err := fs.Rename(d.path, d.name); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	d.over = true
	return syncFolder(fs, d.files.folder.dir)
}

func (d *draft) Drop() (err error) {
	if d.over {
		return nil
	}
	d.over = true
	if d.out != nil {
		err = d.out.Close()
	}
	return errors.Join(err, d.files.folder.fs.Remove(d.path))
}
