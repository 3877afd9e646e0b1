package audience

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// unpacker reads the files of one shard. It is for one goroutine.
type unpacker struct {
	folder *Folder
	shard  tocsin.Shard
	files  map[string]vfs.File // open ones, by path
}

func (f *Folder) unpack(shard tocsin.Shard) *unpacker {
	return &unpacker{folder: f, shard: shard, files: make(map[string]vfs.File)}
}

func (u *unpacker) close() {
	for _, file := range u.files {
		file.Close() // it was only read
	}
}

func (u *unpacker) open(path string) (vfs.File, error) {
	file := u.files[path]
	if file == nil {
		var err error
		if file, err = u.folder.fs.Open(path, vfs.SequentialReadsOption); err != nil {
			return nil, fmt.Errorf("audience: %w", err)
		}
		u.files[path] = file
	}
	return file, nil
}

// read fills into with what stands at a place of a file, which must have a
// checksum.
func (u *unpacker) read(path string, offset uint64, into []byte, check uint32) error {
	file, err := u.open(path)
	if err != nil {
		return err
	}
	n, err := file.ReadAt(into, int64(offset))
	switch {
	case n == len(into):
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %s ends before byte %d", ErrDamaged, path, offset+uint64(len(into)))
	default:
		return fmt.Errorf("audience: %s: %w", path, err)
	}
	if checksum(into) != check {
		return fmt.Errorf("%w: %s has a wrong checksum of the %d bytes from %d on", ErrDamaged, path, len(into), offset)
	}
	return nil
}

// part fills into with a part.
func (u *unpacker) part(m *manifest, at place, into []byte) error {
	return u.read(u.folder.path(u.shard, m.files[at.file].id), at.offset, into, at.check)
}

// manifest reads the list at the end of a file.
func (u *unpacker) manifest(path string) (*manifest, error) {
	file, err := u.open(path)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	size := uint64(info.Size())
	if size < uint64(len(fileHead)+endLength) {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, path, size)
	}
	var end [endLength]byte
	if _, err := file.ReadAt(end[:], int64(size-endLength)); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("audience: %s: %w", path, err)
	}
	start, length := binary.LittleEndian.Uint64(end[:]), binary.LittleEndian.Uint64(end[8:])
	if checksum(end[:20]) != binary.LittleEndian.Uint32(end[20:]) || start+length+endLength != size {
		return nil, fmt.Errorf("%w: %s does not end as it should", ErrDamaged, path)
	}
	list := make([]byte, length)
	if err := u.read(path, start, list, binary.LittleEndian.Uint32(end[16:])); err != nil {
		return nil, err
	}
	m, err := decodeManifest(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// load reads a snapshot, and all parts of it.
func (f *Folder) load(number tocsin.Shard, id snapshotID) (*Shard, *manifest, error) {
	u := f.unpack(number)
	defer u.close()
	path := f.path(number, id)
	file, err := u.open(path)
	if err != nil {
		return nil, nil, err
	}
	head := make([]byte, len(fileHead))
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, fmt.Errorf("audience: %s: %w", path, err)
	}
	var shard *Shard
	var m *manifest
	switch string(head) {
	case blocksHead:
		m = &manifest{id: id, files: []partFile{{id: id}}}
		shard, err = decodeBlocks(number, bufio.NewReaderSize(io.NewSectionReader(file, int64(len(head)), 1<<62), blockMost))
	case fileHead:
		if m, err = u.manifest(path); err == nil {
			shard, err = u.restore(m)
		}
	default:
		err = fmt.Errorf("%w: it does not start with %q", ErrDamaged, fileHead)
	}
	if err == nil && (m.id != id || shard.applied != id.applied) {
		err = fmt.Errorf("%w: it is of position %d", ErrDamaged, shard.applied)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return shard, m, nil
}

// list reads what a file says it holds, and no part of it.
func (f *Folder) manifest(number tocsin.Shard, id snapshotID) (*manifest, error) {
	u := f.unpack(number)
	defer u.close()
	return u.manifest(f.path(number, id))
}

func (u *unpacker) restore(m *manifest) (*Shard, error) {
	shard := NewShard(u.shard)
	shard.applied, shard.seen = m.id.applied, m.seen
	for _, saved := range m.projects {
		streams := make(map[string][]place, len(saved.streams))
		for _, s := range saved.streams {
			streams[s.name] = s.parts
		}
		from := index.NewSaved(func(stream string) []int {
			lengths := make([]int, len(streams[stream]))
			for i, at := range streams[stream] {
				lengths[i] = int(at.length)
			}
			return lengths
		}, func(stream string, part int, into []byte) (*index.Sum, error) {
			at := streams[stream][part]
			return index.KnownSum(at.sum), u.part(m, at, into)
		})
		if _, small := streams[bundled]; small {
			var err error
			if from, err = unbundle(from); err != nil {
				return nil, err
			}
		}
		shard.projects[saved.id] = restore(saved.id, u.shard, from)
		if err := from.Err(); err != nil {
			return nil, err
		}
	}
	m.checked = true
	return shard, nil
}

// A project that is small is kept as one part, for there may be many. Its stream
// has this name.
const (
	bundled     = ""
	bundleBytes = 256 << 10
)

// bundle returns the streams of a project as they are to be stored.
func (f *Folder) bundle(streams []index.Stream) []index.Stream {
	total := 0
	for _, s := range streams {
		for i := range s.Parts {
			if total += len(s.Parts[i].Content()); total > f.small {
				return streams
			}
		}
	}
	return []index.Stream{index.Whole(bundled, func(e *index.Encoder) {
		e.Number(uint64(len(streams)))
		for _, s := range streams {
			e.Text(s.Name)
			e.Number(uint64(len(s.Parts)))
			for i := range s.Parts {
				e.Bytes(s.Parts[i].Content())
			}
		}
	})}
}

// unbundle reads what bundle wrote.
func unbundle(from *index.Saved) (*index.Saved, error) {
	const most, maxName = 1 << 20, 64 << 10
	var streams []index.Stream
	from.Whole(bundled, func(d *index.Decoder) {
		for range d.Length(most) {
			s := index.Stream{Name: d.Text(maxName)}
			for range d.Length(most) {
				s.Parts = append(s.Parts, index.PartOf(d.Bytes(bundleBytes)))
				if d.Err() != nil {
					return
				}
			}
			streams = append(streams, s)
		}
	})
	return index.SavedOf(streams), from.Err()
}
