package rows

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/store"
)

func stem(shard tocsin.Shard, name uint64) string { return fmt.Sprintf("%04d/%d", shard, name) }

// pieceAt is where piece n of a file lies.
func pieceAt(shard tocsin.Shard, name, n uint64) (store.Place, string) {
	return store.Place{Table: Pieces, Partition: fmt.Sprintf("%s/%d", stem(shard, name), n/together)}, fmt.Sprintf("%02d", n%together)
}

// deletePieces deletes all that a file may have, also what is written after. It
// begins at the end, so that what is left when it stops is found again.
func (s *files) deletePieces(ctx context.Context, f *record.SnapshotFile) error {
	partitions, err := s.partitions(ctx, f)
	if err != nil {
		return err
	}
	for p := partitions; p > 0; p-- {
		var at store.Place
		batch := make([]store.Write, together)
		for i := range batch {
			at, batch[i].Key = pieceAt(s.shard, f.Name, (p-1)*together+uint64(i))
			batch[i].Version, batch[i].Delete = deleted, true
		}
		if err := s.engine.store.Write(ctx, at, batch...); err != nil {
			return unavailable(ctx, err)
		}
	}
	return nil
}

// partitions is how many a file has. Of a draft one more than have pieces now: who
// writes one looks before each whether the files are still its own, and so writes
// into none behind.
func (s *files) partitions(ctx context.Context, f *record.SnapshotFile) (n uint64, err error) {
	const size = pieceSize * together
	if f.Size > 0 {
		return (f.Size + size - 1) / size, nil
	}
	for {
		at, _ := pieceAt(s.shard, f.Name, n*together)
		rows, err := s.engine.store.Scan(ctx, at, "", "", 1)
		if err != nil {
			return 0, unavailable(ctx, err)
		}
		if n++; len(rows) == 0 {
			return n, nil
		}
	}
}

// file reads one, a piece at a time.
type file struct {
	ctx    context.Context
	files  *files
	name   uint64
	size   uint64
	number uint64 // of the piece
	piece  []byte // that was read last; nil before
}

func (s *files) Open(ctx context.Context, id snapshot.ID) (snapshot.File, error) {
	f := s.find(id)
	if f == nil {
		return nil, fmt.Errorf("%w: %s is not there", snapshot.ErrDamaged, s.Name(id))
	}
	return &file{ctx: ctx, files: s, name: f.Name, size: f.Size}, nil
}

func (f *file) Size() uint64 { return f.size }
func (f *file) Close() error { return nil }

func (f *file) ReadAt(into []byte, offset int64) (n int, err error) {
	for at := uint64(offset); n < len(into); at = uint64(offset) + uint64(n) {
		if at >= f.size {
			return n, io.EOF
		}
		if err := f.read(at / pieceSize); err != nil {
			return n, err
		}
		n += copy(into[n:], f.piece[at%pieceSize:])
	}
	return n, nil
}

func (f *file) read(number uint64) error {
	if f.piece != nil && f.number == number {
		return nil
	}
	at, key := pieceAt(f.files.shard, f.name, number)
	row, err := f.files.engine.store.Get(f.ctx, at, key)
	if errors.Is(err, store.ErrNotFound) || err == nil && uint64(len(row.Value)) != min(pieceSize, f.size-number*pieceSize) {
		return fmt.Errorf("%w: piece %s of %s/%s is not there, or not whole", snapshot.ErrDamaged, key, at.Table, at.Partition)
	}
	if err != nil {
		return unavailable(f.ctx, err)
	}
	f.number, f.piece = number, row.Value
	return nil
}

// draft is a file that no name stands for yet.
type draft struct {
	ctx   context.Context
	files *files
	as    *record.SnapshotFile
	space []byte // not written yet
	next  uint64 // piece
}

func (s *files) Create(ctx context.Context, id snapshot.ID) (snapshot.Draft, error) {
	as := &record.SnapshotFile{Position: id.Position, Again: id.Again}
	err := s.change(ctx, func(n *record.SnapshotFiles) {
		abandon(n)
		as.Name = n.Revision
		n.Draft = as
	})
	if err != nil {
		return nil, err
	}
	return &draft{ctx: ctx, files: s, as: as, space: make([]byte, 0, pieceSize)}, nil
}

func (d *draft) Write(b []byte) (n int, err error) {
	n = len(b)
	for len(b) > 0 {
		fits := min(len(b), pieceSize-len(d.space))
		d.space, b = append(d.space, b[:fits]...), b[fits:]
		if len(d.space) == pieceSize {
			if err := d.flush(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

func (d *draft) flush() error {
	if d.next%together == 0 {
		if err := d.files.owned(d.ctx); err != nil {
			return err
		}
	}
	if err := d.files.engine.turn(d.ctx, len(d.space)); err != nil {
		return err
	}
	at, key := pieceAt(d.files.shard, d.as.Name, d.next)
	if err := d.files.engine.store.Write(d.ctx, at, store.Write{Key: key, Value: d.space, Version: written}); err != nil {
		return unavailable(d.ctx, err)
	}
	d.next++
	d.space = d.space[:0]
	return nil
}

func (d *draft) size() uint64 { return d.next*pieceSize + uint64(len(d.space)) }

// Done writes the last piece. The draft takes nothing more.
func (d *draft) Done() (snapshot.File, error) {
	size := d.size()
	if len(d.space) > 0 {
		if err := d.flush(); err != nil {
			return nil, err
		}
	}
	d.as = &record.SnapshotFile{Position: d.as.Position, Again: d.as.Again, Name: d.as.Name, Size: size}
	return &file{ctx: d.ctx, files: d.files, name: d.as.Name, size: size}, nil
}

func (d *draft) Keep() error {
	return d.files.change(d.ctx, func(n *record.SnapshotFiles) { n.Files, n.Draft = append(n.Files, d.as), nil })
}

// Drop leaves the pieces to whoever takes the files or writes the next draft.
func (d *draft) Drop() error { return nil }
