package index

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin/target"
)

// set holds one named tag set of every row: a bitmap a tag, and a row the list
// of its tags, so that replacing a set looks at no other tag.
type set struct {
	dict    *dictionary
	bitmaps []*roaring.Bitmap // by code
	lists   []Ref             // by row: uvarint codes; 0 is the empty set
	arena   Arena
	scratch []uint32
}

func newSet(seed maphash.Seed) *set {
	return &set{dict: newDictionary(seed), bitmaps: []*roaring.Bitmap{nil}}
}

// codesOf appends the codes of a row's tags.
func (s *set) codesOf(row uint32, to []uint32) []uint32 {
	if int(row) >= len(s.lists) {
		return to
	}
	for list := s.arena.Get(s.lists[row]); len(list) > 0; {
		code, n := binary.Uvarint(list)
		to, list = append(to, uint32(code)), list[n:]
	}
	return to
}

func (s *set) add(row uint32, tag string) {
	code, created := s.dict.take(Value{Kind: Text, Text: tag})
	if created {
		if int(code) == len(s.bitmaps) {
			s.bitmaps = append(s.bitmaps, nil)
		}
		s.bitmaps[code] = roaring.New()
	}
	s.bitmaps[code].Add(row)
	s.scratch = append(s.scratch, code)
}

func (s *set) drop(row, code uint32) {
	s.bitmaps[code].Remove(row)
	if s.dict.drop(code) {
		s.bitmaps[code] = nil
	}
}

// change replaces the row's set by replace when clear holds, then adds, then
// removes.
func (s *set) change(row uint32, clear bool, replace, add, remove []string) {
	before := s.codesOf(row, s.scratch[:0])
	if clear {
		for _, code := range before {
			s.drop(row, code)
		}
		s.scratch = before[:0]
	} else {
		s.scratch = before
		replace = nil
	}
	for _, tags := range [][]string{replace, add} {
		for _, tag := range tags {
			if code := s.dict.find(Value{Kind: Text, Text: tag}); code == 0 || !slices.Contains(s.scratch, code) {
				s.add(row, tag)
			}
		}
	}
	for _, tag := range remove {
		code := s.dict.find(Value{Kind: Text, Text: tag})
		if at := slices.Index(s.scratch, code); code != 0 && at >= 0 {
			s.scratch = slices.Delete(s.scratch, at, at+1)
			s.drop(row, code)
		}
	}
	s.keep(row)
}

// keep stores scratch as the row's list.
func (s *set) keep(row uint32) {
	var old Ref
	if int(row) < len(s.lists) {
		old = s.lists[row]
	}
	var list []byte
	for _, code := range s.scratch {
		list = binary.AppendUvarint(list, uint64(code))
	}
	if old == 0 && len(list) == 0 {
		return
	}
	s.arena.Free(old)
	var ref Ref
	if len(list) > 0 {
		ref = s.arena.Add(list)
	}
	s.lists = put(s.lists, row, ref)
	if s.arena.Wasteful() {
		var fresh Arena
		for row, ref := range s.lists {
			if ref != 0 {
				s.lists[row] = fresh.Add(s.arena.Get(ref))
			}
		}
		s.arena = fresh
	}
}

// matches returns the rows that hold at least one of the tags. The caller must
// not change the result.
func (s *set) matches(tags []target.Value) *roaring.Bitmap {
	var all []*roaring.Bitmap
	for _, tag := range tags {
		if code := s.dict.find(Value{Kind: Text, Text: tag.Text}); code != 0 {
			all = append(all, s.bitmaps[code])
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	return roaring.FastOr(all...)
}

func (s *set) present() *roaring.Bitmap {
	dense := make([]uint64, (len(s.lists)+63)/64)
	for row, ref := range s.lists {
		if ref != 0 {
			dense[row>>6] |= 1 << (row & 63)
		}
	}
	return roaring.FromDense(dense, false)
}

func (s *set) size() int {
	bytes := s.dict.size() + 4*cap(s.lists) + s.arena.Size() + 8*cap(s.bitmaps)
	for _, b := range s.bitmaps {
		if b != nil {
			bytes += int(b.GetSizeInBytes())
		}
	}
	return bytes
}
