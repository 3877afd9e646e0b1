package folder

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The file SYNCED has two slots. Between two syncs of the file only one of them
// is written, so that a power loss tears one at most. The valid slot with the
// higher generation counts.
const (
	noteName  = "SYNCED"
	slotSize  = 4096
	noteEvery = 64 // writes of a slot between two syncs
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// prefix is the part of a log that is known to be on the disk.
type prefix struct {
	length int64
	sum    uint32
}

// note is the content of SYNCED. Its owner brings the lock.
type note struct {
	file       vfs.File
	generation uint64
	slot       int64 // that is written next
	unsynced   int   // slot writes since the file was synced
	complete   bool  // the database was opened once, so it must be there
	torn       bool  // one slot could not be read: what it said is lost
	logs       map[string]prefix
	text       []byte // encoded last, to be filled again
}

// encode is valid until the next one: it is made after every sync of a log.
func (n *note) encode() []byte {
	complete := 0
	if n.complete {
		complete = 1
	}
	names := slices.Sorted(maps.Keys(n.logs))
	for b := n.text[:0]; ; names = names[1:] { // without the oldest log: digits sort first
		b = append(b[:0], "tocsin synced 1 "...)
		b = append(strconv.AppendUint(b, n.generation, 10), ' ')
		b = append(strconv.AppendInt(b, int64(complete), 10), ' ')
		b = append(strconv.AppendInt(b, int64(len(names)), 10), '\n')
		for _, name := range names {
			p := n.logs[name]
			b = append(append(b, name...), ' ')
			b = append(strconv.AppendInt(b, p.length, 10), ' ')
			b = append(appendSum(b, p.sum), '\n')
		}
		sum := crc32.Checksum(b, castagnoli)
		b = append(appendSum(append(b, "sum "...), sum), '\n')
		if n.text = b; len(b) <= slotSize {
			return b
		}
	}
}

// appendSum appends a checksum in eight hexadecimal digits.
func appendSum(b []byte, sum uint32) []byte {
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], sum)
	return hex.AppendEncode(b, four[:])
}

func decodeNote(b []byte) (n note, ok bool) {
	var complete, count int
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	if c, err := fmt.Sscanf(string(line), "tocsin synced 1 %d %d %d", &n.generation, &complete, &count); err != nil || c != 3 {
		return n, false
	}
	n.complete, n.logs = complete == 1, make(map[string]prefix)
	for range count {
		var name string
		var p prefix
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if _, err := fmt.Sscanf(string(line), "%s %d %x", &name, &p.length, &p.sum); err != nil {
			return n, false
		}
		n.logs[name] = p
	}
	body := b[:len(b)-len(rest)]
	want := fmt.Appendf(nil, "sum %08x\n", crc32.Checksum(body, castagnoli))
	return n, bytes.HasPrefix(rest, want)
}

// save writes one slot, and syncs the file when asked or when due.
func (n *note) save(sync bool) error {
	n.generation++
	if _, err := n.file.WriteAt(n.encode(), n.slot*slotSize); err != nil {
		return err
	}
	if n.unsynced++; !sync && n.unsynced < noteEvery {
		return nil
	}
	if err := n.file.Sync(); err != nil {
		return err
	}
	n.unsynced, n.slot = 0, 1-n.slot
	return nil
}

// openNote reads the note of a folder, or starts one where no database is yet.
func openNote(fs vfs.FS, dir string) (*note, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	path := fs.PathJoin(dir, noteName)
	best, torn := note{slot: -1}, false
	if slices.Contains(names, noteName) {
		b, err := readFile(fs, path)
		if err != nil {
			return nil, err
		}
		for slot := range int64(2) {
			part := b[min(slot*slotSize, int64(len(b))):min((slot+1)*slotSize, int64(len(b)))]
			n, ok := decodeNote(part)
			torn = torn || !ok && !allZero(part)
			if ok && n.generation > best.generation {
				best, best.slot = n, 1-slot
			}
		}
	}
	best.torn = torn
	if best.slot < 0 {
		if slices.ContainsFunc(names, func(name string) bool { return isLog(name) || strings.HasSuffix(name, ".sst") }) {
			return nil, fmt.Errorf("%s is missing or damaged: what the folder's logs must hold is not known", path)
		}
		return createNote(fs, dir, path)
	}
	if best.file, err = fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	// A killed process may have left the slot that counts unsynced.
	return &best, errors.Join(best.file.Sync())
}

// allZero: a slot that was never written is no damage.
func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func createNote(fs vfs.FS, dir, path string) (*note, error) {
	n := &note{logs: make(map[string]prefix)}
	var err error
	if n.file, err = fs.Create(path, vfs.WriteCategoryUnspecified); err != nil {
		return nil, err
	}
	if _, err = n.file.Write(make([]byte, 2*slotSize)); err != nil {
		return nil, err
	}
	if err = n.save(true); err != nil {
		return nil, err
	}
	return n, syncDir(fs, dir)
}

// verify compares the folder with the note.
func (n *note) verify(fs vfs.FS, dir string) error {
	err := errors.Join(n.verifyMarkers(fs, dir), n.verifyLogs(fs, dir))
	if err != nil && n.torn {
		return fmt.Errorf("%w; one half of %s is damaged too, and may say what was true before", err, fs.PathJoin(dir, noteName))
	}
	return err
}

// verifyMarkers looks for the files without which Pebble sees no database.
func (n *note) verifyMarkers(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil || !n.complete {
		return err
	}
	for _, marker := range []string{"marker.manifest.", "marker.format-version."} {
		if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, marker) }) {
			return fmt.Errorf("%s* is missing", fs.PathJoin(dir, marker))
		}
	}
	return nil
}

// verifyLogs compares every log with what was synced of it, and forgets those
// that are gone. A write-ahead log leaves the note before it leaves the folder;
// the others may be gone with a power loss before the folder was synced.
func (n *note) verifyLogs(fs vfs.FS, dir string) error {
	for name, want := range n.logs {
		path := fs.PathJoin(dir, name)
		length, sum, err := checksum(fs, path, want.length)
		switch {
		case errors.Is(err, os.ErrNotExist) && !strings.HasSuffix(name, ".log"):
			delete(n.logs, name)
		case errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("%s is missing: %d bytes of it were synced", path, want.length)
		case err != nil:
			return fmt.Errorf("%s cannot be read: %w", path, err)
		case length < want.length:
			return fmt.Errorf("%s is damaged: it was cut off at %d bytes, %d were synced", path, length, want.length)
		case sum != want.sum:
			return fmt.Errorf("%s is damaged: its first %d bytes are not those that were synced", path, want.length)
		}
	}
	return nil
}

// checksum reads at most limit bytes of a file.
func checksum(fs vfs.FS, path string, limit int64) (length int64, sum uint32, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, 0, err
	}
	hash := crc32.New(castagnoli)
	length, err = io.Copy(hash, io.LimitReader(f, limit))
	return length, hash.Sum32(), errors.Join(err, f.Close())
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
