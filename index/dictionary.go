package index

import (
	"encoding/binary"
	"hash/maphash"
)

// dictionary gives every distinct value of a column a code from 1 on. Codes
// of values that no row has any more are given again.
type dictionary struct {
	seed   maphash.Seed
	table  Table
	kinds  []Kind        // by code; 0 is free
	values Cells[uint64] // Bits, or the Ref of the text
	counts []uint32      // rows that have it
	free   []uint32
	arena  Arena
	recent [16]uint32 // codes that were taken of late, some of them free since
}

func newDictionary(seed maphash.Seed) *dictionary {
	return &dictionary{seed: seed, kinds: []Kind{0}, values: CellsOf([]uint64{0}), counts: []uint32{0}}
}

// distinct is the number of values that some row has.
func (d *dictionary) distinct() int { return d.table.Len() }

func (d *dictionary) hash(v Value) uint64 {
	if v.textual() {
		return maphash.String(d.seed, v.Text) + uint64(v.Kind)
	}
	var raw [8]byte
	binary.LittleEndian.PutUint64(raw[:], uint64(v.Bits))
	return maphash.Bytes(d.seed, raw[:]) + uint64(v.Kind)
}

func (d *dictionary) hashOf(code uint32) uint64 { return d.hash(d.value(code)) }

// find returns the code of a value, 0 when no row has it.
func (d *dictionary) find(v Value) uint32 { return d.findHashed(d.hash(v), v) }

// recall returns the code of a value that was taken of late, 0 when it was not, and
// where its code is to be noted: a few values are those of most rows, and are told
// sooner than they are hashed.
func (d *dictionary) recall(v Value) (code uint32, at int) {
	key := uint64(v.Bits) * 0x9e3779b97f4a7c15 >> 60
	if n := len(v.Text); n > 0 {
		key = uint64(n)*5 + uint64(v.Text[0])*3 + uint64(v.Text[n/2])*7 + uint64(v.Text[n-1])
	}
	at = int(key % uint64(len(d.recent)))
	if code = d.recent[at]; code != 0 && d.holds(code, v) {
		return code, at
	}
	return 0, at
}

// holds reports whether a code, which may be free, is that of a value.
func (d *dictionary) holds(code uint32, v Value) bool {
	if d.kinds[code] != v.Kind {
		return false
	}
	if v.textual() {
		return string(d.arena.Get(Ref(d.values.At(code)))) == v.Text
	}
	return d.values.At(code) == uint64(v.Bits)
}

func (d *dictionary) findHashed(hash uint64, v Value) uint32 {
	code, _ := d.table.Find(hash, func(code uint32) bool { return d.holds(code, v) })
	return code
}

// fetch reads what takeHashed looks at, for some hashes: their places in the table,
// then the values there, then the texts.
func (d *dictionary) fetch(hashes []uint64) {
	if d.table.Len() == 0 {
		return
	}
	d.table.Fetch(hashes)
	var room [together]uint32
	codes, seen := room[:0], uint32(0)
	for _, hash := range hashes {
		if code, ok := d.table.first(hash); ok {
			codes = append(codes, code)
		}
	}
	for _, code := range codes {
		seen += uint32(d.kinds[code]) + uint32(d.values.At(code)) + d.counts[code]
	}
	for _, code := range codes {
		if kind := d.kinds[code]; kind == Text || kind == URL {
			seen += d.arena.first(Ref(d.values.At(code)))
		}
	}
	keep(seen)
}

// take returns the code of a value and counts one row more.
func (d *dictionary) take(v Value) (code uint32, created bool) {
	code, at := d.recall(v)
	if code == 0 {
		code, created = d.takeHashed(d.hash(v), v)
		d.recent[at] = code
		return code, created
	}
	d.counts[code]++
	return code, false
}

// takeHashed is take for a value whose hash is known.
func (d *dictionary) takeHashed(hash uint64, v Value) (code uint32, created bool) {
	if code = d.findHashed(hash, v); code != 0 {
		d.counts[code]++
		return code, false
	}
	stored := uint64(v.Bits)
	if v.textual() {
		stored = uint64(d.arena.Add([]byte(v.Text)))
	}
	if last := len(d.free) - 1; last >= 0 {
		code, d.free = d.free[last], d.free[:last]
	} else {
		code = uint32(len(d.kinds))
		d.kinds, d.counts = append(d.kinds, 0), append(d.counts, 0)
	}
	d.kinds[code], d.counts[code] = v.Kind, 1
	d.values.Set(code, stored)
	d.table.Insert(hash, code, d.hashOf)
	return code, true
}

// drop counts one row less; the value goes with its last row.
func (d *dictionary) drop(code uint32) { d.release(code, (*Arena).Free) }

// wipe is drop, and leaves nothing of the value in memory when it goes.
func (d *dictionary) wipe(code uint32) { d.release(code, (*Arena).Wipe) }

func (d *dictionary) release(code uint32, free func(*Arena, Ref)) {
	if d.counts[code]--; d.counts[code] > 0 {
		return
	}
	v := d.value(code)
	d.table.Delete(d.hash(v), code, d.hashOf)
	if v.textual() {
		free(&d.arena, Ref(d.values.At(code)))
	}
	d.kinds[code] = 0
	d.values.Set(code, 0)
	d.free = append(d.free, code)
	if d.arena.Wasteful() {
		d.compact()
	}
}

func (d *dictionary) compact() {
	var fresh Arena
	for i, kind := range d.kinds {
		if code := uint32(i); kind == Text || kind == URL {
			d.values.Set(code, uint64(fresh.Add(d.arena.Get(Ref(d.values.At(code))))))
		}
	}
	d.arena = fresh
}

// encode writes the dictionary into one stream.
func (d *dictionary) encode(e *Encoder) {
	EncodeColumn(e, d.kinds)
	EncodeColumn(e, d.values.flat())
	d.arena.encode(e)
}

func decodeDictionary(d *Decoder, seed maphash.Seed) *dictionary {
	dict := &dictionary{seed: seed, kinds: DecodeColumn[Kind](d), values: CellsOf(DecodeColumn[uint64](d)), arena: DecodeArena(d)}
	dict.rebuild(d.Fail)
	return dict
}

func (d *dictionary) value(code uint32) Value {
	switch kind := d.kinds[code]; kind {
	case Text, URL:
		return Value{Kind: kind, Text: text(d.arena.Get(Ref(d.values.At(code))))}
	default:
		return Value{Kind: kind, Bits: int64(d.values.At(code))}
	}
}

func (d *dictionary) size() int {
	return d.table.Size() + cap(d.kinds) + d.values.Size() + 4*cap(d.counts) + 4*cap(d.free) + d.arena.Size()
}
