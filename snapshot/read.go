package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tocsin-push/tocsin"
)

// reader reads the files of one shard, and keeps them open. It is for one
// goroutine.
type reader struct {
	ctx   context.Context
	files Files
	open  map[ID]File
}

func newReader(ctx context.Context, files Files) *reader {
	return &reader{ctx: ctx, files: files, open: make(map[ID]File)}
}

func (r *reader) close() {
	for _, file := range r.open {
		file.Close() // it was only read
	}
}

func (r *reader) file(id ID) (File, error) {
	file := r.open[id]
	if file == nil {
		var err error
		if file, err = r.files.Open(r.ctx, id); err != nil {
			return nil, err
		}
		r.open[id] = file
	}
	return file, nil
}

// readAt fills into with what stands at a place of a file.
func readAt(file File, name string, offset uint64, into []byte) error {
	n, err := file.ReadAt(into, int64(offset))
	switch {
	case n == len(into):
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %s ends before byte %d", ErrDamaged, name, offset+uint64(len(into)))
	}
	return fmt.Errorf("snapshot: %s: %w", name, err)
}

// readChecked is readAt for what has a checksum.
func readChecked(file File, name string, offset uint64, into []byte, check uint32) error {
	if err := readAt(file, name, offset, into); err != nil {
		return err
	}
	if checksum(into) != check {
		return fmt.Errorf("%w: %s has a wrong checksum of the %d bytes from %d on", ErrDamaged, name, len(into), offset)
	}
	return nil
}

// part fills into with a part.
func (r *reader) part(m *Manifest, at Place, into []byte) error {
	id := m.Files[at.File].ID
	file, err := r.file(id)
	if err != nil {
		return err
	}
	return readChecked(file, r.files.Name(id), at.Offset, into, at.Check)
}

// readManifest reads the list at the end of a file.
func readManifest(file File, name string) (*Manifest, error) {
	size := file.Size()
	if size < endLength {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, name, size)
	}
	var end [endLength]byte
	if err := readAt(file, name, size-endLength, end[:]); err != nil {
		return nil, err
	}
	start, length := binary.LittleEndian.Uint64(end[:]), binary.LittleEndian.Uint64(end[8:])
	if checksum(end[:20]) != binary.LittleEndian.Uint32(end[20:]) || start+length+endLength != size {
		return nil, fmt.Errorf("%w: %s does not end as it should", ErrDamaged, name)
	}
	list := make([]byte, length)
	if err := readChecked(file, name, start, list, binary.LittleEndian.Uint32(end[16:])); err != nil {
		return nil, err
	}
	m, err := decodeManifest(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// manifest reads what a snapshot says it holds, and no part of it.
func (r *reader) manifest(k *Keeper, id ID) (*Manifest, error) {
	file, err := r.file(id)
	if err != nil {
		return nil, err
	}
	name := r.files.Name(id)
	head := make([]byte, len(k.head()))
	if err := readAt(file, name, 0, head); err != nil {
		return nil, err
	}
	var m *Manifest
	switch string(head) {
	case k.head():
		m, err = readManifest(file, name)
	case k.blocksHead():
		m, err = readBlocks(file, name, uint64(len(head)), id)
	default:
		err = fmt.Errorf("%w: %s does not start with %q", ErrDamaged, name, k.head())
	}
	if err == nil && m.ID != id {
		err = fmt.Errorf("%w: %s is of position %d", ErrDamaged, name, m.ID.Position)
	}
	return m, err
}

// Saved is a snapshot that is being read.
type Saved struct {
	*Manifest
	shard   tocsin.Shard
	reader  *reader
	metrics *metrics
}

// Shard is whose snapshot it is.
func (s *Saved) Shard() tocsin.Shard { return s.shard }

// Read fills into, which has the length of the part, with what stands at a place,
// or returns an error: it is as it was written.
func (s *Saved) Read(at Place, into []byte) error {
	s.metrics.bytes.WithLabelValues("read").Add(float64(at.Length))
	return s.reader.part(s.Manifest, at, into)
}

// load has a snapshot read: all of it, or its list only where read is nil.
func (k *Keeper) load(ctx context.Context, shard tocsin.Shard, files Files, id ID, read func(*Saved) error) (*Manifest, error) {
	r := newReader(ctx, files)
	defer r.close()
	m, err := r.manifest(k, id)
	if err != nil || read == nil {
		return m, err
	}
	if err := read(&Saved{Manifest: m, shard: shard, reader: r, metrics: k.metrics}); err != nil {
		return nil, fmt.Errorf("%s: %w", files.Name(id), err)
	}
	m.checked = true
	return m, nil
}
