package audience

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// A snapshot file is a line that names the format, parts, the list of all parts
// of the snapshot, and an end that says where the list stands. Parts that were
// in the snapshot before the last are not written again: the list names the
// files that hold them.
//
// They are taken from the one before the last, never from the last: so the two
// that are kept have no byte in common, and damage to one leaves the other.
const (
	fileHead        = "tocsin audience 3\n"
	snapshotVersion = 3
	endLength       = 24 // where the list starts, its length, its CRC-32C, and that of these
)

// manifest is the list of a snapshot's parts.
type manifest struct {
	id       snapshotID
	seen     record.Seen
	files    []partFile // the first is its own
	projects []savedProject
	checked  bool // this process has read all parts, or written them
}

type partFile struct {
	id   snapshotID
	size uint64 // of what stands before its list
}

type savedProject struct {
	id      tocsin.ProjectID
	streams []savedStream
}

type savedStream struct {
	name  string
	parts []place
}

// place is where a part stands.
type place struct {
	file           uint32
	check          uint32 // CRC-32C
	offset, length uint64
	sum            [16]byte
}

// each calls f for every part.
func (m *manifest) each(f func(at place)) {
	for _, p := range m.projects {
		for _, s := range p.streams {
			for _, at := range s.parts {
				f(at)
			}
		}
	}
}

// apart reports whether two snapshots have no file in common.
func (m *manifest) apart(other *manifest) bool {
	for _, a := range m.files {
		for _, b := range other.files {
			if a.id == b.id {
				return false
			}
		}
	}
	return true
}

// byteOrder is how this machine keeps numbers, which parts are full of.
func byteOrder() []byte { return binary.NativeEndian.AppendUint32(nil, 0x01020304) }

func (m *manifest) encode() []byte {
	var list bytes.Buffer
	e := index.NewEncoder(&list)
	e.Number(snapshotVersion)
	e.Bytes(byteOrder())
	e.Number(m.id.applied)
	e.Number(m.id.again)
	e.Number(uint64(len(m.seen)))
	for _, writer := range slices.Sorted(maps.Keys(m.seen)) {
		e.Number(writer)
		e.Number(m.seen[writer])
	}
	e.Number(uint64(len(m.files)))
	for _, f := range m.files {
		e.Number(f.id.applied)
		e.Number(f.id.again)
		e.Number(f.size)
	}
	e.Number(uint64(len(m.projects)))
	for _, p := range m.projects {
		e.Bytes(p.id[:])
		e.Number(uint64(len(p.streams)))
		for _, s := range p.streams {
			e.Text(s.name)
			e.Number(uint64(len(s.parts)))
			for _, at := range s.parts {
				e.Number(uint64(at.file))
				e.Number(uint64(at.check))
				e.Number(at.offset)
				e.Number(at.length)
				e.Bytes(at.sum[:])
			}
		}
	}
	if err := e.Flush(); err != nil {
		panic(err) // a buffer takes all
	}
	return list.Bytes()
}

func decodeManifest(list []byte) (*manifest, error) {
	const most, maxName = 1 << 30, 64 << 10
	d := index.NewDecoder(bytes.NewReader(list))
	if version := d.Number(); version != snapshotVersion && d.Err() == nil {
		return nil, fmt.Errorf("audience: snapshot has version %d, this build reads %d to %d", version, withoutCreated, snapshotVersion)
	}
	if order := d.Bytes(4); !bytes.Equal(order, byteOrder()) && d.Err() == nil {
		return nil, errors.New("audience: snapshot was written by a machine of another byte order")
	}
	m := &manifest{id: snapshotID{d.Number(), d.Number()}, seen: make(record.Seen)}
	for range d.Length(most) {
		if d.Err() != nil {
			break
		}
		writer := d.Number()
		m.seen[writer] = d.Number()
	}
	for range d.Length(most) {
		if d.Err() != nil {
			break
		}
		m.files = append(m.files, partFile{snapshotID{d.Number(), d.Number()}, d.Number()})
	}
	for range d.Length(most) {
		if d.Err() != nil {
			break
		}
		m.projects = append(m.projects, savedProject{})
		p := &m.projects[len(m.projects)-1]
		copy(p.id[:], d.Bytes(len(p.id)))
		for range d.Length(most) {
			if d.Err() != nil {
				break
			}
			s := savedStream{name: d.Text(maxName)}
			for range d.Length(most) {
				if d.Err() != nil {
					break
				}
				at := place{file: uint32(d.Number()), check: uint32(d.Number()), offset: d.Number(), length: d.Number()}
				if copy(at.sum[:], d.Bytes(len(at.sum))); int(at.file) >= len(m.files) {
					d.Fail("a part stands in a file that is not named")
				}
				s.parts = append(s.parts, at)
			}
			p.streams = append(p.streams, s)
		}
	}
	if len(m.files) == 0 || m.files[0].id != m.id {
		d.Fail("a snapshot does not name its own file")
	}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	return m, nil
}
