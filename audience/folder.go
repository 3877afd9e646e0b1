package audience

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
)

// ErrDamaged: a snapshot file is torn or altered. The message names the file.
var ErrDamaged = errors.New("audience: snapshot file is damaged")

// Folder keeps the snapshot files of all shards. A file is a line that names
// the format, blocks of length, CRC-32C and content, and an end block with the
// length of all content; it appears under its name only when it is whole and
// durable. All methods may be called at once; files are written one at a time.
type Folder struct {
	fs   vfs.FS
	dir  string
	gate chan struct{}
}

const (
	fileHead  = "tocsin audience 1\n"
	fileBlock = 256 << 10
	fileEnd   = ".snapshot"
	fileDraft = ".draft"
)

// OpenFolder makes the folder if need be and removes drafts that a crash left.
func OpenFolder(fs vfs.FS, dir string) (*Folder, error) {
	f := &Folder{fs: fs, dir: dir, gate: make(chan struct{}, 1)}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	if err := syncFolder(fs, fs.PathDir(dir)); err != nil { // else a power loss takes the whole folder
		return nil, err
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, fileDraft) {
			if err := fs.Remove(fs.PathJoin(dir, name)); err != nil {
				return nil, fmt.Errorf("audience: %w", err)
			}
		}
	}
	return f, nil
}

func syncFolder(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}

func (f *Folder) path(shard tocsin.Shard, applied uint64) string {
	return f.fs.PathJoin(f.dir, fmt.Sprintf("%04d-%020d%s", shard, applied, fileEnd))
}

// list returns the positions of a shard's snapshots, the newest first.
func (f *Folder) list(shard tocsin.Shard) (positions []uint64, err error) {
	names, err := f.fs.List(f.dir)
	if err != nil {
		return nil, fmt.Errorf("audience: %w", err)
	}
	for _, name := range names {
		var of tocsin.Shard
		var applied uint64
		if _, err := fmt.Sscanf(name, "%04d-%020d"+fileEnd, &of, &applied); err == nil && of == shard && f.path(shard, applied) == f.fs.PathJoin(f.dir, name) {
			positions = append(positions, applied)
		}
	}
	slices.Sort(positions)
	slices.Reverse(positions)
	return positions, nil
}

// write makes a file of a frozen shard and reads it back.
func (f *Folder) write(ctx context.Context, number tocsin.Shard, frozen *Shard) error {
	select {
	case f.gate <- struct{}{}:
		defer func() { <-f.gate }()
	case <-ctx.Done():
		return ctx.Err()
	}
	path := f.path(number, frozen.applied)
	if err := f.draft(ctx, path+fileDraft, frozen); err != nil {
		return errors.Join(err, f.fs.Remove(path+fileDraft))
	}
	if err := f.fs.Rename(path+fileDraft, path); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	if err := syncFolder(f.fs, f.dir); err != nil {
		return err
	}
	if err := f.open(path, func(r io.Reader) error {
		_, err := io.Copy(io.Discard, r)
		return err
	}); err != nil {
		return errors.Join(err, f.fs.Remove(path))
	}
	return nil
}

func (f *Folder) draft(ctx context.Context, path string, frozen *Shard) error {
	file, err := f.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	blocks := &blockWriter{ctx: ctx, to: file}
	_, err = io.WriteString(file, fileHead)
	if err == nil {
		err = frozen.Encode(blocks)
	}
	if err == nil {
		err = blocks.end()
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}

// read loads one snapshot.
func (f *Folder) read(number tocsin.Shard, applied uint64) (shard *Shard, err error) {
	err = f.open(f.path(number, applied), func(r io.Reader) error {
		if shard, err = Decode(r); err != nil {
			return err
		}
		if shard.applied != applied {
			return fmt.Errorf("%w: it is of position %d", ErrDamaged, shard.applied)
		}
		_, err := io.Copy(io.Discard, r) // up to the end block
		return err
	})
	return shard, err
}

// open hands the verified content of a file to use.
func (f *Folder) open(path string, use func(io.Reader) error) error {
	file, err := f.fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, fileBlock)
	head := make([]byte, len(fileHead))
	if err := readFull(in, head, 0); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if string(head) != fileHead {
		return fmt.Errorf("%w: %s does not start with %q", ErrDamaged, path, fileHead)
	}
	if err := use(&blockReader{in: in}); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func (f *Folder) remove(number tocsin.Shard, applied uint64) error {
	if err := f.fs.Remove(f.path(number, applied)); err != nil {
		return fmt.Errorf("audience: %w", err)
	}
	return nil
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

type blockWriter struct {
	ctx   context.Context
	to    io.Writer
	block []byte
	total uint64
}

func (w *blockWriter) Write(b []byte) (int, error) {
	w.block = append(w.block, b...)
	if len(w.block) < fileBlock {
		return len(b), nil
	}
	return len(b), w.flush()
}

func (w *blockWriter) flush() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(len(w.block)))
	head = binary.LittleEndian.AppendUint32(head, checksum(w.block))
	if _, err := w.to.Write(head); err != nil {
		return err
	}
	_, err := w.to.Write(w.block)
	w.total += uint64(len(w.block))
	w.block = w.block[:0]
	return err
}

func (w *blockWriter) end() error {
	if len(w.block) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	total := binary.LittleEndian.AppendUint64(nil, w.total)
	end := binary.LittleEndian.AppendUint32(nil, 0)
	end = binary.LittleEndian.AppendUint32(end, checksum(total))
	_, err := w.to.Write(append(end, total...))
	return err
}

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
	if length > 2*fileBlock {
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
