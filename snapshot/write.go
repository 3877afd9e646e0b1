package snapshot

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/tocsin-push/tocsin"
)

// Cost is what a snapshot cost, in bytes of parts.
type Cost struct{ Written, Shared uint64 }

// writer writes one snapshot.
type writer struct {
	ctx     context.Context
	old     *reader
	out     Draft
	offset  uint64
	list    *Manifest
	base    *Manifest
	known   map[[16]byte]Place // parts that need not be written
	cost    Cost
	metrics *metrics
}

// write makes a snapshot of a moment. Parts that base holds are not written
// again; base may be nil.
func (k *Keeper) write(ctx context.Context, files Files, m Moment, id ID, base *Manifest) (*Manifest, Cost, error) {
	draft, err := files.Create(ctx, id)
	if err != nil {
		return nil, Cost{}, err
	}
	w := &writer{ctx: ctx, old: newReader(ctx, files), out: draft, base: base, known: make(map[[16]byte]Place), metrics: k.metrics,
		list: &Manifest{ID: id, Seen: m.Seen(), Files: []PartFile{{ID: id}}, checked: true}}
	defer w.old.close()
	if err = w.all(k, m); err == nil {
		err = w.verify(files.Name(id))
	}
	if err == nil {
		err = draft.Keep()
	}
	if err != nil {
		return nil, w.cost, errors.Join(err, draft.Drop())
	}
	return w.list, w.cost, nil
}

func (w *writer) all(k *Keeper, m Moment) error {
	w.share()
	if err := w.write([]byte(k.head())); err != nil {
		return err
	}
	for _, id := range m.Projects() {
		if err := w.project(m, id); err != nil {
			return err
		}
	}
	return w.end()
}

// maxFiles is how many files a snapshot shares parts of at most.
const maxFiles = 16

// share lists the parts that need not be written. Of a file of which less than
// half is still in use nothing is shared, nor of more than a few files: so the
// files of a snapshot hold at most about twice what it needs.
func (w *writer) share() {
	if w.base == nil {
		return
	}
	used := make([]uint64, len(w.base.Files))
	w.base.Each(func(at Place) { used[at.File] += at.Length })
	most := make([]int, len(used)) // by how much of them is in use
	for i := range most {
		most[i] = i
	}
	slices.SortFunc(most, func(a, b int) int { return cmp.Compare(used[b], used[a]) })
	number := make([]uint32, len(used)) // in the new list; 0 is not shared
	for _, i := range most[:min(maxFiles, len(most))] {
		if f := w.base.Files[i]; used[i] > 0 && used[i] >= f.Size/2 {
			number[i] = uint32(len(w.list.Files))
			w.list.Files = append(w.list.Files, f)
		}
	}
	w.base.Each(func(at Place) {
		if at.File = number[at.File]; at.File > 0 {
			w.known[at.Sum] = at
		}
	})
}

// project writes what changed of one.
func (w *writer) project(m Moment, id tocsin.ProjectID) error {
	streams, end := m.Take(id)
	defer end()
	saved := Project{ID: id}
	for _, s := range streams {
		if len(s.Parts) == 0 {
			continue
		}
		places := Places{Name: s.Name, Parts: make([]Place, len(s.Parts))}
		for i, part := range s.Parts {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			at, err := w.put(part)
			if err != nil {
				return err
			}
			places.Parts[i] = at
		}
		saved.Streams = append(saved.Streams, places)
	}
	w.list.Projects = append(w.list.Projects, saved)
	return nil
}

func (w *writer) put(part Part) (Place, error) {
	sum := part.ID()
	if at, ok := w.known[sum]; ok && w.good(at) {
		w.cost.Shared += at.Length
		w.metrics.bytes.WithLabelValues("shared").Add(float64(at.Length))
		return at, nil
	}
	content := part.Content()
	at := Place{Check: checksum(content), Offset: w.offset, Length: uint64(len(content)), Sum: sum}
	w.known[sum] = at
	w.cost.Written += at.Length
	w.metrics.bytes.WithLabelValues("written").Add(float64(at.Length))
	return at, w.write(content)
}

// good reports whether a part that stands somewhere can be relied upon: one that
// was not read by this process is read again first.
func (w *writer) good(at Place) bool {
	if at.File == 0 || w.base.checked {
		return true
	}
	return w.old.part(w.list, at, make([]byte, at.Length)) == nil
}

func (w *writer) write(b []byte) error {
	w.offset += uint64(len(b))
	_, err := w.out.Write(b)
	return err
}

// end writes the list of parts, without files that turned out not to be needed.
func (w *writer) end() error {
	used := make([]bool, len(w.list.Files))
	w.list.Each(func(at Place) { used[at.File] = true })
	number, kept := make([]uint32, len(used)), w.list.Files[:1]
	for i, f := range w.list.Files[1:] {
		if used[i+1] {
			number[i+1] = uint32(len(kept))
			kept = append(kept, f)
		}
	}
	for _, project := range w.list.Projects {
		for _, s := range project.Streams {
			for i := range s.Parts {
				s.Parts[i].File = number[s.Parts[i].File]
			}
		}
	}
	w.list.Files = kept
	w.list.Files[0].Size = w.offset
	list := w.list.encode()
	end := binary.LittleEndian.AppendUint64(nil, w.offset)
	end = binary.LittleEndian.AppendUint64(end, uint64(len(list)))
	end = binary.LittleEndian.AppendUint32(end, checksum(list))
	end = binary.LittleEndian.AppendUint32(end, checksum(end))
	return w.write(append(list, end...))
}

// verify reads back what was written.
func (w *writer) verify(name string) (err error) {
	file, err := w.out.Done()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	m, err := readManifest(file, name)
	if err != nil {
		return err
	}
	if m.ID != w.list.ID {
		return fmt.Errorf("%w: %s is of position %d", ErrDamaged, name, m.ID.Position)
	}
	var space []byte
	m.Each(func(at Place) {
		if at.File == 0 && err == nil {
			space = slices.Grow(space[:0], int(at.Length))[:at.Length]
			err = readChecked(file, name, at.Offset, space, at.Check)
		}
	})
	return err
}
