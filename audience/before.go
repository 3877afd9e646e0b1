package audience

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// Snapshots before version 3 were one stream of bytes, written whole: a line
// that names the format, blocks of length, CRC-32C and content, and an end block
// with the length of all content.
const (
	blocksHead     = "tocsin audience 1\n"
	blockMost      = 512 << 10
	withoutNames   = 2 // did not hold how names of attributes changed, lists, nor events
	withoutCreated = 1 // nor when subscriptions registered
)

// decodeBlocks reads a shard from a snapshot before version 3, up to its end.
func decodeBlocks(number tocsin.Shard, in *bufio.Reader) (*Shard, error) {
	blocks := &blockReader{in: in}
	shard, err := decodeShard(number, blocks)
	if err == nil {
		_, err = io.Copy(io.Discard, blocks)
	}
	return shard, err
}

func decodeShard(number tocsin.Shard, from io.Reader) (*Shard, error) {
	const maxWriters, maxProjects = 1 << 24, 1 << 24
	d := index.NewDecoder(from)
	version := d.Number()
	if version != withoutCreated && version != withoutNames && d.Err() == nil {
		return nil, fmt.Errorf("audience: a snapshot in blocks has version %d, this build reads %d and %d", version, withoutCreated, withoutNames)
	}
	s := NewShard(number)
	s.applied = d.Number()
	for range d.Length(maxWriters) {
		writer := d.Number()
		s.seen[writer] = d.Number()
	}
	for range d.Length(maxProjects) {
		var id tocsin.ProjectID
		copy(id[:], d.Bytes(len(id)))
		p := decodeProject(d, version, id, number)
		if d.Err() != nil {
			break
		}
		s.projects[id] = p
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	return s, nil
}

func decodeProject(d *index.Decoder, version uint64, id tocsin.ProjectID, shard tocsin.Shard) *project {
	p := newProject(id, shard)
	p.decodeRoutes(d)
	r, w := &p.rows, &p.people
	for id := range slices.Chunk(index.DecodeColumn[uint8](d), len(tocsin.SubscriptionID{})) {
		var whole tocsin.SubscriptionID
		copy(whole[:], id)
		r.ids.Append(whole)
	}
	r.version = index.CellsOf(index.DecodeColumn[uint64](d))
	r.since = index.CellsOf(make([]int64, r.ids.Len()))
	r.address = index.CellsOf(index.DecodeColumn[index.Ref](d))
	for _, column := range [...]*index.Cells[uint32]{&r.vouched, &r.created, &r.active, &r.route, &r.profile, &r.next} {
		if version == withoutCreated && column == &r.created {
			r.created = index.CellsOf(make([]uint32, r.ids.Len()))
			continue
		}
		*column = index.CellsOf(index.DecodeColumn[uint32](d))
	}
	p.addresses = index.DecodeArena(d)
	p.known = index.Decode(d)
	w.key = index.CellsOf(index.DecodeColumn[index.Ref](d))
	w.first = index.CellsOf(index.DecodeColumn[uint32](d))
	w.keys = index.DecodeArena(d)
	w.known = index.Decode(d)
	if d.Err() == nil {
		p.rebuild(d.Fail)
	}
	return p
}

// blockReader gives the verified content of the blocks.
type blockReader struct {
	in    *bufio.Reader
	block []byte // what is left of the present one
	space []byte
	total uint64
	ended bool
}

// readFull tells a file that is too short from a disk that cannot be read.
func readFull(in io.Reader, to []byte, after uint64) error {
	_, err := io.ReadFull(in, to)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it ends after %d bytes of content", ErrDamaged, after)
	}
	return err
}

func (r *blockReader) Read(b []byte) (int, error) {
	for len(r.block) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.block)
	r.block = r.block[n:]
	return n, nil
}

func (r *blockReader) next() error {
	var head [8]byte
	if err := readFull(r.in, head[:], r.total); err != nil {
		return err
	}
	length, want := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
	r.ended = length == 0
	if r.ended {
		length = 8
	}
	if length > blockMost {
		return fmt.Errorf("%w: a block of %d bytes after %d", ErrDamaged, length, r.total)
	}
	if cap(r.space) < int(length) {
		r.space = make([]byte, length)
	}
	content := r.space[:length]
	if err := readFull(r.in, content, r.total); err != nil {
		return err
	}
	if checksum(content) != want {
		return fmt.Errorf("%w: wrong checksum in the block after %d bytes of content", ErrDamaged, r.total)
	}
	if !r.ended {
		r.block = content
		r.total += uint64(length)
		return nil
	}
	if total := binary.LittleEndian.Uint64(content); total != r.total {
		return fmt.Errorf("%w: it has %d bytes of content, %d were written", ErrDamaged, r.total, total)
	}
	switch _, err := r.in.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something stands after its end", ErrDamaged)
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}
