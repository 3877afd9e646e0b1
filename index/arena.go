package index

import "encoding/binary"

const (
	chunkSize = 256 << 10
	maxChunks = 1 << 16
)

// Arena keeps byte strings in large chunks, so that millions of them cost the
// garbage collector nothing. It is append-only: an entry's bytes never change
// or move. An owner that replaces entries says so with Free, and builds a new
// arena when Wasteful says that it pays. At most 16 GiB.
type Arena struct {
	chunks     [][]byte
	used, dead int
}

// Ref is the place of an entry; 0 is none.
type Ref uint32

// Add stores a copy of the parts as one entry.
func (a *Arena) Add(parts ...[]byte) Ref {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	var head [binary.MaxVarintLen32]byte
	headLength := binary.PutUvarint(head[:], uint64(length))
	need := (headLength + length + 3) &^ 3 // entries start at multiples of 4
	last := len(a.chunks) - 1
	if last < 0 || len(a.chunks[last])+need > chunkSize {
		if len(a.chunks) == maxChunks {
			panic("index: more than 16 GiB in one arena")
		}
		// The first chunk starts small, for the many small projects; an entry
		// larger than a chunk has one of its own.
		size := max(chunkSize, need)
		if last < 0 {
			size = max(256, need)
		}
		a.chunks = append(a.chunks, make([]byte, 0, size))
		last++
		if last == 0 {
			a.chunks[0] = append(a.chunks[0], 0, 0, 0, 0) // keeps Ref 0 free
		}
	}
	chunk := a.chunks[last]
	ref := Ref(last<<16 | len(chunk)>>2)
	chunk = append(chunk, head[:headLength]...)
	for _, part := range parts {
		chunk = append(chunk, part...)
	}
	for len(chunk)&3 != 0 {
		chunk = append(chunk, 0)
	}
	a.chunks[last] = chunk
	a.used += need
	return ref
}

// Get returns an entry; the caller must not change it and may keep it.
func (a *Arena) Get(ref Ref) []byte {
	if ref == 0 {
		return nil
	}
	b := a.chunks[ref>>16][(ref&0xffff)<<2:]
	if b[0] < 0x80 {
		return b[1 : 1+b[0] : 1+b[0]]
	}
	length, head := binary.Uvarint(b)
	end := head + int(length)
	return b[head:end:end]
}

// Free counts an entry as no longer needed.
func (a *Arena) Free(ref Ref) {
	if ref != 0 {
		a.dead += (len(a.Get(ref)) + 4) &^ 3
	}
}

// Wasteful reports whether more than half, and enough to matter, is freed.
func (a *Arena) Wasteful() bool { return a.dead > chunkSize && a.dead > a.used/2 }

// Size is the memory in use, in bytes.
func (a *Arena) Size() (bytes int) {
	for _, chunk := range a.chunks {
		bytes += cap(chunk)
	}
	return bytes
}
