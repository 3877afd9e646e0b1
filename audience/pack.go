package audience

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

// written is what a snapshot cost, in bytes of parts.
type written struct{ bytes, shared uint64 }

// packer writes one snapshot file.
type packer struct {
	*unpacker
	ctx    context.Context
	out    vfs.File
	space  []byte // not written yet
	offset uint64
	list   *manifest
	base   *manifest
	known  map[[16]byte]place // parts that need not be written
	cost   written
	looked uint64 // where the room on the disk was looked at last
}

// floor is how much room a snapshot leaves on the disk, for what saves and trims
// more than it takes.
const floor = 128 << 20

// room is an error when the disk is nearly full. Where nobody can tell, it is not.
func (p *packer) room() error {
	usage, err := p.folder.fs.GetDiskUsage(p.folder.dir)
	if p.looked = p.offset; err == nil && usage.AvailBytes < floor {
		return fmt.Errorf("%d bytes are free on the disk, a snapshot leaves %d: %w", usage.AvailBytes, int64(floor), syscall.ENOSPC)
	}
	return nil
}

// write makes a snapshot of a moment. Parts that base holds are not written
// again; base may be nil.
func (f *Folder) write(ctx context.Context, number tocsin.Shard, m *moment, id snapshotID, base *manifest) (*manifest, written, error) {
	p := &packer{unpacker: f.unpack(number), ctx: ctx, base: base, known: make(map[[16]byte]place),
		list: &manifest{id: id, seen: m.seen, files: []partFile{{id: id}}, checked: true}}
	defer p.close()
	path := f.path(number, id)
	if err := p.draft(path+fileDraft, m); err != nil {
		return nil, p.cost, errors.Join(err, f.fs.Remove(path+fileDraft))
	}
	if err := f.fs.Rename(path+fileDraft, path); err != nil {
		return nil, p.cost, errors.Join(fmt.Errorf("audience: %w", err), f.fs.Remove(path+fileDraft))
	}
	return p.list, p.cost, syncFolder(f.fs, f.dir)
}

func (p *packer) draft(path string, m *moment) error {
	file, err := p.folder.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	p.out, p.space = file, make([]byte, 0, p.folder.buffer)
	p.share()
	if err = p.room(); err == nil {
		err = p.write([]byte(fileHead))
	}
	for _, id := range m.projects {
		if err == nil {
			err = p.project(m, id)
		}
	}
	if err == nil {
		err = p.end()
	}
	if err == nil {
		err = p.flush()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return p.verify(path)
}

// maxFiles is how many files a snapshot shares parts of at most.
const maxFiles = 16

// share lists the parts that need not be written. Of a file of which less than
// half is still in use nothing is shared, nor of more than a few files: so the
// files of a snapshot hold at most about twice what it needs.
func (p *packer) share() {
	if p.base == nil {
		return
	}
	used := make([]uint64, len(p.base.files))
	p.base.each(func(at place) { used[at.file] += at.length })
	most := make([]int, len(used)) // by how much of them is in use
	for i := range most {
		most[i] = i
	}
	slices.SortFunc(most, func(a, b int) int { return cmp.Compare(used[b], used[a]) })
	number := make([]uint32, len(used)) // in the new list; 0 is not shared
	for _, i := range most[:min(maxFiles, len(most))] {
		if f := p.base.files[i]; used[i] > 0 && used[i] >= f.size/2 {
			number[i] = uint32(len(p.list.files))
			p.list.files = append(p.list.files, f)
		}
	}
	p.base.each(func(at place) {
		if at.file = number[at.file]; at.file > 0 {
			p.known[at.sum] = at
		}
	})
}

// project writes what changed of one.
func (p *packer) project(m *moment, id tocsin.ProjectID) error {
	f := m.take(id)
	defer f.End()
	saved := savedProject{id: id}
	for _, s := range p.folder.bundle(f.streams) {
		if len(s.Parts) == 0 {
			continue
		}
		stream := savedStream{name: s.Name, parts: make([]place, len(s.Parts))}
		for i := range s.Parts {
			if err := p.ctx.Err(); err != nil {
				return err
			}
			at, err := p.put(&s.Parts[i])
			if err != nil {
				return err
			}
			stream.parts[i] = at
		}
		saved.streams = append(saved.streams, stream)
	}
	p.list.projects = append(p.list.projects, saved)
	return nil
}

func (p *packer) put(part *index.Part) (place, error) {
	sum := part.ID()
	if at, ok := p.known[sum]; ok && p.good(at) {
		p.cost.shared += at.length
		return at, nil
	}
	content := part.Content()
	at := place{check: checksum(content), offset: p.offset, length: uint64(len(content)), sum: sum}
	p.known[sum] = at
	p.cost.bytes += at.length
	return at, p.write(content)
}

// good reports whether a part that stands somewhere can be relied upon: one that
// was read before this process began is read again first.
func (p *packer) good(at place) bool {
	if at.file == 0 || p.base.checked {
		return true
	}
	return p.part(p.list, at, make([]byte, at.length)) == nil
}

func (p *packer) write(b []byte) error {
	if p.offset-p.looked > 16<<20 {
		if err := p.room(); err != nil {
			return err
		}
	}
	p.offset += uint64(len(b))
	for len(b) > 0 {
		n := min(len(b), cap(p.space)-len(p.space))
		if p.space, b = append(p.space, b[:n]...), b[n:]; len(p.space) == cap(p.space) {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// flush writes what is in space. A vfs.File may change what it is given to write,
// and parts are the shard's own memory: that is why they are copied there.
func (p *packer) flush() error {
	_, err := p.out.Write(p.space)
	p.space = p.space[:0]
	return err
}

// end writes the list of parts, without files that turned out not to be needed.
func (p *packer) end() error {
	used := make([]bool, len(p.list.files))
	p.list.each(func(at place) { used[at.file] = true })
	number, kept := make([]uint32, len(used)), p.list.files[:1]
	for i, f := range p.list.files[1:] {
		if used[i+1] {
			number[i+1] = uint32(len(kept))
			kept = append(kept, f)
		}
	}
	for _, project := range p.list.projects {
		for _, s := range project.streams {
			for i := range s.parts {
				s.parts[i].file = number[s.parts[i].file]
			}
		}
	}
	p.list.files = kept
	p.list.files[0].size = p.offset
	list := p.list.encode()
	end := binary.LittleEndian.AppendUint64(nil, p.offset)
	end = binary.LittleEndian.AppendUint64(end, uint64(len(list)))
	end = binary.LittleEndian.AppendUint32(end, checksum(list))
	end = binary.LittleEndian.AppendUint32(end, checksum(end))
	return p.write(append(list, end...))
}

// verify reads back what was written.
func (p *packer) verify(path string) error {
	m, err := p.manifest(path)
	if err != nil {
		return err
	}
	var space []byte
	m.each(func(at place) {
		if at.file == 0 && err == nil {
			space = slices.Grow(space[:0], int(at.length))[:at.length]
			err = p.read(path, at.offset, space, at.check)
		}
	})
	return err
}
