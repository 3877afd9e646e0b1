package snapshot

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Snapshots before version 3 were one stream of bytes, written whole: a line
// that names the format, blocks of length, CRC-32C and content, and an end block
// with the length of all content. They are read as a stream of no project, whose
// parts are the blocks. No part of a later snapshot is taken from them.

// Blocks is the name of that stream.
const Blocks = "blocks"

const blockMost = 512 << 10

func (k *Keeper) blocksHead() string { return fmt.Sprintf("tocsin %s 1\n", k.of) }

func readBlocks(file File, name string, from uint64, id ID) (*Manifest, error) {
	blocks := Places{Name: Blocks}
	for at, total := from, uint64(0); ; {
		var head [8]byte
		if err := readAt(file, name, at, head[:]); err != nil {
			return nil, err
		}
		at += uint64(len(head))
		length, check := binary.LittleEndian.Uint32(head[:]), binary.LittleEndian.Uint32(head[4:])
		if length > blockMost {
			return nil, fmt.Errorf("%w: %s has a block of %d bytes", ErrDamaged, name, length)
		}
		if length > 0 {
			blocks.Parts = append(blocks.Parts, Place{Check: check, Offset: at, Length: uint64(length)})
			at, total = at+uint64(length), total+uint64(length)
			continue
		}
		if err := readChecked(file, name, at, head[:], check); err != nil {
			return nil, err
		}
		if want := binary.LittleEndian.Uint64(head[:]); want != total || at+uint64(len(head)) != file.Size() {
			return nil, fmt.Errorf("%w: %s has %d bytes of content, %d were written, or something stands after them", ErrDamaged, name, total, want)
		}
		return &Manifest{ID: id, Seen: make(record.Seen), Files: []PartFile{{ID: id}}, Projects: []Project{{ID: tocsin.ProjectID{}, Streams: []Places{blocks}}}}, nil
	}
}

// Blocks returns the content of a snapshot before version 3, and whether it is one.
func (s *Saved) Blocks() (io.Reader, bool) {
	for _, p := range s.Projects {
		if p.ID.IsZero() && len(p.Streams) == 1 && p.Streams[0].Name == Blocks {
			return &blockReader{saved: s, next: p.Streams[0].Parts}, true
		}
	}
	return nil, false
}

type blockReader struct {
	saved *Saved
	block []byte // what is left of the present one
	next  []Place
}

func (r *blockReader) Read(b []byte) (int, error) {
	if len(r.block) == 0 {
		if len(r.next) == 0 {
			return 0, io.EOF
		}
		r.block = make([]byte, r.next[0].Length)
		if err := r.saved.Read(r.next[0], r.block); err != nil {
			return 0, err
		}
		r.next = r.next[1:]
	}
	n := copy(b, r.block)
	r.block = r.block[n:]
	return n, nil
}
