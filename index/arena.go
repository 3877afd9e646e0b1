package index

import (
	"encoding/binary"
	"slices"
)

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
	sums       []*Sum // of the chunks; nil since one changed
	life       *byte  // tells this arena from one that takes its place
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
		a.chunks, a.sums = append(a.chunks, make([]byte, 0, size)), append(a.sums, nil)
		last++
		if last == 0 {
			a.life = new(byte)
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
	a.chunks[last], a.sums[last] = chunk, nil
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

// first is the beginning of an entry.
func (a *Arena) first(ref Ref) uint32 { return uint32(a.chunks[ref>>16][(ref&0xffff)<<2]) }

// Free counts an entry as no longer needed.
func (a *Arena) Free(ref Ref) {
	if ref != 0 {
		a.dead += (len(a.Get(ref)) + 4) &^ 3
	}
}

// Wipe is Free for what must leave memory too: nothing is left of the entry but
// in the hands of who has got it.
func (a *Arena) Wipe(ref Ref) {
	if ref == 0 {
		return
	}
	a.Free(ref)
	n, chunk := len(a.Get(ref)), a.chunks[ref>>16]
	start := int(ref&0xffff)<<2 + 1
	for ; chunk[start-1] >= 0x80; start++ { // behind the length
	}
	wiped := append(make([]byte, 0, cap(chunk)), chunk...)
	clear(wiped[start : start+n])
	a.chunks[ref>>16], a.sums[ref>>16] = wiped, nil
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

// Holds reports whether a reference read from outside names an entry.
func (a *Arena) Holds(ref Ref) bool {
	return ref == 0 || int(ref>>16) < len(a.chunks) && int(ref&0xffff)<<2 < len(a.chunks[ref>>16])
}

// encode writes the arena into one stream.
func (a *Arena) encode(e *Encoder) {
	e.Number(uint64(a.dead))
	e.Number(uint64(len(a.chunks)))
	for _, chunk := range a.chunks {
		e.Bytes(chunk)
	}
}

// DecodeArena reads an arena from one stream.
func DecodeArena(d *Decoder) Arena {
	const maxChunk = 64 << 20
	a := Arena{dead: int(d.Number()), life: new(byte)}
	for range d.Length(maxChunks) {
		if d.err != nil {
			break
		}
		chunk := d.Bytes(maxChunk)
		a.used += len(chunk)
		a.chunks, a.sums = append(a.chunks, chunk), append(a.sums, nil)
	}
	return a
}

// clone is a copy that grows by itself.
func (a *Arena) clone() Arena {
	return Arena{chunks: slices.Clone(a.chunks), used: a.used, dead: a.dead, sums: make([]*Sum, len(a.chunks)), life: new(byte)}
}

// Freeze returns the arena as it is now: what is dead, and a part for each
// chunk. As entries never change, no moment needs to be held.
func (a *Arena) Freeze(name string) Stream {
	if len(a.chunks) == 0 {
		return Stream{Name: name}
	}
	s := Stream{Name: name, Parts: make([]Part, 1+len(a.chunks))}
	s.Parts[0] = PartOf(binary.LittleEndian.AppendUint64(nil, uint64(a.dead)))
	for i, chunk := range a.chunks {
		if a.sums[i] == nil {
			a.sums[i] = new(Sum)
		}
		s.Parts[1+i] = Part{Sum: a.sums[i], content: chunk}
	}
	return s
}

// LoadArena reads an arena back; references stay valid.
func LoadArena(from *Saved, name string) (a Arena) {
	lengths := from.Parts(name)
	if len(lengths) == 0 {
		return a
	}
	if lengths[0] != 8 {
		from.Fail("%.60q has a head of %d bytes", name, lengths[0])
		return Arena{}
	}
	var dead [8]byte
	from.Read(name, 0, dead[:])
	a.dead, a.life = int(binary.LittleEndian.Uint64(dead[:])), new(byte)
	a.chunks, a.sums = make([][]byte, len(lengths)-1), make([]*Sum, len(lengths)-1)
	for i, length := range lengths[1:] {
		a.chunks[i] = make([]byte, length)
		a.sums[i] = from.Read(name, 1+i, a.chunks[i])
		a.used += length
	}
	return a
}
