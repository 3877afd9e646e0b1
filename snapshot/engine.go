package snapshot

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/tocsin-push/tocsin"
)

var (
	// ErrDamaged: a file is torn, altered or not there. The message names it.
	ErrDamaged = errors.New("snapshot: file is damaged")
	// ErrUnavailable: the engine cannot be reached now. It says nothing about a
	// file, so no older one is taken for it.
	ErrUnavailable = errors.New("snapshot: files cannot be reached")
	// ErrSuperseded: somebody else has taken the files of the shard.
	ErrSuperseded = errors.New("snapshot: files of the shard are somebody else's now")
)

// ID names a snapshot of a shard, and its file: the position that it is of, and
// which of that position it is.
type ID struct{ Position, Again uint64 }

// Before orders names; the one with the higher position is the newer.
func (id ID) Before(other ID) int {
	return cmp.Or(cmp.Compare(id.Position, other.Position), cmp.Compare(id.Again, other.Again))
}

// Engine is a place of files. All methods may be called at once.
type Engine interface {
	// Take makes the caller the one who writes the files of a shard. From then on
	// whoever took them before can neither keep a file nor remove one, whatever it
	// has under way; what it began and did not keep will be removed.
	Take(ctx context.Context, shard tocsin.Shard) (Files, error)
}

// Files are those of one shard, for who took them last; all others get
// ErrSuperseded from Create, Keep and Remove. It is for one goroutine.
type Files interface {
	// List returns the names of all files, the newest first.
	List() ([]ID, error)
	// Open reads a file of List. What is missing of it is ErrDamaged, here or when
	// it is read.
	Open(ctx context.Context, id ID) (File, error)
	// Create begins a file that no list has before it is kept. There is one at a
	// time.
	Create(ctx context.Context, id ID) (Draft, error)
	// Remove takes files away for ever; those that are not there do not matter.
	// After an error some may be there, and what is there is whole.
	Remove(ctx context.Context, ids ...ID) error
	// Name is how an operator finds a file.
	Name(id ID) string
}

// File is read by one goroutine, while the context of Open lasts.
type File interface {
	io.ReaderAt
	io.Closer
	Size() uint64
}

// Draft is written by one goroutine, while the context of Create lasts.
type Draft interface {
	// Write keeps nothing of what it is given, and does not change it.
	io.Writer
	// Done makes durable what was written, for it to be read back.
	Done() (File, error)
	// Keep makes it a file, durably and at one moment. After an error it may have
	// become one.
	Keep() error
	// Drop gives up a draft that was not kept. After Keep it does nothing.
	Drop() error
}
