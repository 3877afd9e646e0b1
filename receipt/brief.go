package receipt

import (
	"bytes"
	"compress/flate"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// A send to one person has as many rows as a large one: five, with their keys
// about 900 bytes, in a place of their own. When a small send is closed before
// any of its rows was written, they are packed with those of the other small
// sends of its second: one row, compressed, that begins with the identifiers in
// it. That is about 150 bytes a send, written once: 0.8 MB/s at 5,000 sends a
// second. BenchmarkSmallSends tells.
//
// A send that was packed has ended: what its own place may hold, of a save that
// broke off before, is older.

const (
	briefMost = 4 << 10  // bytes of the rows of one send
	blockMost = 64 << 10 // bytes of a block before it is compressed

	deflateFrom = 8 << 10 // a smaller block is kept as it is: its tables would cost more
)

// BriefRange is where the block of a send is, if it was packed.
func BriefRange(shard tocsin.Shard, id tocsin.SendID) (at store.Place, from, to string) {
	made := id.Time().Unix()
	at = store.Place{Table: "receipt", Partition: strconv.Itoa(int(shard)) + "/brief/" + strconv.FormatInt(made/60, 10)}
	from = fmt.Sprintf("%02d/", made%60)
	return at, from, from + "~"
}

// pack makes the blocks of small sends, named so that no two are one row: what a
// save that broke off has written of them is found beside those of the next.
func (m *Machine) pack(position uint64, sends []tocsin.SendID) (batches []store.Batch) {
	// Identifiers begin with the time, so that those of a second stand together.
	slices.SortFunc(sends, func(a, b tocsin.SendID) int { return bytes.Compare(a[:], b[:]) })
	var block record.Briefs
	var rows record.BriefRows
	var expires time.Time
	size := 0
	for i, id := range sends {
		brief := &record.Brief{}
		for _, w := range m.rows.flying[id] {
			brief.Rows = append(brief.Rows, &record.BriefRow{Key: w.Key, Value: w.Value, Version: w.Version})
			size += len(w.Key) + len(w.Value)
			expires = w.Expires
		}
		block.Ids, rows.Sends = append(block.Ids, id[:]...), append(rows.Sends, brief)
		at, from, _ := BriefRange(m.shard, id)
		if i+1 < len(sends) && size < blockMost {
			if next, second, _ := BriefRange(m.shard, sends[i+1]); next == at && second == from {
				continue
			}
		}
		block.Rows, block.Plain = nil, marshal(&rows)
		if len(block.Plain) >= deflateFrom {
			block.Rows, block.Plain = m.rows.deflater.deflate(block.Plain), nil
		}
		m.rows.blocks++
		batches = append(batches, store.Batch{Place: at, Writes: []store.Write{{
			Key: fmt.Sprintf("%s%016x-%d", from, m.incarnation, m.rows.blocks), Value: marshal(&block), Version: position, Expires: expires}}})
		block.Ids, rows.Sends, size = nil, nil, 0
	}
	return batches
}

// FindBrief reads the rows of a send out of the rows of its BriefRange, nil when
// it was not packed.
func FindBrief(rows []store.Row, id tocsin.SendID) ([]store.Row, error) {
	for _, r := range rows {
		block := new(record.Briefs)
		if err := block.UnmarshalVT(r.Value); err != nil {
			return nil, fmt.Errorf("receipt: row of small sends: %w", err)
		}
		for i := range len(block.Ids) / len(id) {
			if tocsin.SendID(block.Ids[i*len(id):][:len(id)]) != id {
				continue
			}
			sends := new(record.BriefRows)
			data, err := block.Plain, error(nil)
			if len(block.Rows) > 0 {
				data, err = io.ReadAll(flate.NewReader(bytes.NewReader(block.Rows)))
			}
			if err == nil {
				err = sends.UnmarshalVT(data)
			}
			if err != nil || i >= len(sends.Sends) {
				return nil, fmt.Errorf("receipt: rows of small sends: %w", err)
			}
			var found []store.Row
			for _, row := range sends.Sends[i].Rows {
				found = append(found, store.Row{Key: row.Key, Value: row.Value, Version: row.Version, Expires: r.Expires})
			}
			return found, nil
		}
	}
	return nil, nil
}

// deflater is used again and again: it holds a megabyte of tables.
type deflater struct{ w *flate.Writer }

func (d *deflater) deflate(data []byte) []byte {
	var out bytes.Buffer
	var err error
	if d.w == nil {
		d.w, err = flate.NewWriter(&out, flate.BestSpeed)
	} else {
		d.w.Reset(&out)
	}
	if err == nil {
		_, err = d.w.Write(data)
	}
	if err == nil {
		err = d.w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("receipt: %v", err)) // the level is one, and memory takes everything
	}
	return out.Bytes()
}

// stored reads the rows of a send between two keys, wherever they are.
type stored func(from, to string) ([]store.Row, error)

func (s *Shell) stored(ctx context.Context, id tocsin.SendID) (stored, error) {
	at, from, to := BriefRange(s.shard, id)
	blocks, err := scan(ctx, s.store, at, from, to)
	if err != nil {
		return nil, err
	}
	brief, err := FindBrief(blocks, id)
	if err != nil {
		return nil, err
	}
	return func(from, to string) ([]store.Row, error) {
		if brief == nil {
			return scan(ctx, s.store, SendPlace(s.shard, id), from, to)
		}
		return slices.DeleteFunc(slices.Clone(brief), func(r store.Row) bool { return r.Key < from || r.Key >= to }), nil
	}, nil
}
