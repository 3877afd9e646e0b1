package snapshot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// A file is a line that names the format, parts, the list of all parts of the
// snapshot, and an end that says where the list stands.
const (
	version   = 3
	endLength = 24 // where the list starts, its length, its CRC-32C, and that of these
)

func (k *Keeper) head() string { return fmt.Sprintf("tocsin %s %d\n", k.of, version) }

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// Manifest is the list of a snapshot's parts.
type Manifest struct {
	ID       ID
	Seen     record.Seen
	Files    []PartFile // that hold parts; the first is its own
	Projects []Project

	checked bool // this process has read all parts, or written them
}

// PartFile is a file that holds parts of a snapshot.
type PartFile struct {
	ID   ID
	Size uint64 // of what stands before its list
}

// Project is the streams of one project.
type Project struct {
	ID      tocsin.ProjectID
	Streams []Places
}

// Places is where the parts of a stream stand.
type Places struct {
	Name  string
	Parts []Place
}

// Place is where a part stands.
type Place struct {
	File           uint32 // which of Files
	Check          uint32 // CRC-32C
	Offset, Length uint64
	Sum            [16]byte // see Part.ID
}

// Each calls f for every part.
func (m *Manifest) Each(f func(at Place)) {
	for _, p := range m.Projects {
		for _, s := range p.Streams {
			for _, at := range s.Parts {
				f(at)
			}
		}
	}
}

// Apart reports whether two snapshots have no file in common.
func (m *Manifest) Apart(other *Manifest) bool {
	return !slices.ContainsFunc(m.Files, func(a PartFile) bool {
		return slices.ContainsFunc(other.Files, func(b PartFile) bool { return a.ID == b.ID })
	})
}

// byteOrder is how this machine keeps numbers, which parts are full of.
func byteOrder() []byte { return binary.NativeEndian.AppendUint32(nil, 0x01020304) }

func (m *Manifest) encode() (list []byte) {
	number := func(n uint64) { list = binary.AppendUvarint(list, n) }
	text := func(b []byte) {
		number(uint64(len(b)))
		list = append(list, b...)
	}
	number(version)
	text(byteOrder())
	number(m.ID.Position)
	number(m.ID.Again)
	number(uint64(len(m.Seen)))
	for _, writer := range slices.Sorted(maps.Keys(m.Seen)) {
		number(writer)
		number(m.Seen[writer])
	}
	number(uint64(len(m.Files)))
	for _, f := range m.Files {
		number(f.ID.Position)
		number(f.ID.Again)
		number(f.Size)
	}
	number(uint64(len(m.Projects)))
	for _, p := range m.Projects {
		text(p.ID[:])
		number(uint64(len(p.Streams)))
		for _, s := range p.Streams {
			text([]byte(s.Name))
			number(uint64(len(s.Parts)))
			for _, at := range s.Parts {
				number(uint64(at.File))
				number(uint64(at.Check))
				number(at.Offset)
				number(at.Length)
				text(at.Sum[:])
			}
		}
	}
	return list
}

// listReader reads what encode wrote. After the first error it reads zero values.
type listReader struct {
	left []byte
	err  error
}

func (r *listReader) fail(what string) {
	if r.left = nil; r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrDamaged, what)
	}
}

func (r *listReader) number() uint64 {
	n, length := binary.Uvarint(r.left)
	if length <= 0 {
		r.fail("its list is cut short")
		return 0
	}
	r.left = r.left[length:]
	return n
}

func (r *listReader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.left)) {
		r.fail("its list is cut short")
		return nil
	}
	b := r.left[:n]
	r.left = r.left[n:]
	return b
}

// many calls read as often as a number says, until something is wrong.
func (r *listReader) many(read func()) {
	for n := r.number(); n > 0 && r.err == nil; n-- {
		read()
	}
}

func decodeManifest(list []byte) (*Manifest, error) {
	r := &listReader{left: list}
	if v := r.number(); v != version && r.err == nil {
		return nil, fmt.Errorf("snapshot: it has version %d, this build reads up to %d", v, version)
	}
	if order := r.bytes(); !bytes.Equal(order, byteOrder()) && r.err == nil {
		return nil, errors.New("snapshot: it was written by a machine of another byte order")
	}
	m := &Manifest{ID: ID{r.number(), r.number()}, Seen: make(record.Seen)}
	r.many(func() {
		writer := r.number()
		m.Seen[writer] = r.number()
	})
	r.many(func() { m.Files = append(m.Files, PartFile{ID{r.number(), r.number()}, r.number()}) })
	r.many(func() {
		var p Project
		copy(p.ID[:], r.bytes())
		r.many(func() {
			s := Places{Name: string(r.bytes())}
			r.many(func() {
				at := Place{File: uint32(r.number()), Check: uint32(r.number()), Offset: r.number(), Length: r.number()}
				if copy(at.Sum[:], r.bytes()); int(at.File) >= len(m.Files) {
					r.fail("a part stands in a file that is not named")
				}
				s.Parts = append(s.Parts, at)
			})
			p.Streams = append(p.Streams, s)
		})
		m.Projects = append(m.Projects, p)
	})
	if len(m.Files) == 0 || m.Files[0].ID != m.ID {
		r.fail("it does not name its own file")
	}
	return m, r.err
}
