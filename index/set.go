package index

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
)

// set holds one named tag set of every row: the rows of each tag, and of each
// row the list of its tags, so that replacing a set looks at no other tag.
type set struct {
	has     marks // rows that have a tag
	dict    *dictionary
	tagged  []rowSet   // by code
	lists   Cells[Ref] // by row: uvarint codes; 0 is the empty set
	arena   Arena
	scratch []uint32
}

func newSet(seed maphash.Seed) *set {
	return &set{dict: newDictionary(seed), tagged: []rowSet{{}}}
}

// codesOf appends the codes of a row's tags.
func (s *set) codesOf(row uint32, to []uint32) []uint32 {
	for list := s.arena.Get(s.lists.At(row)); len(list) > 0; {
		code, n := binary.Uvarint(list)
		to, list = append(to, uint32(code)), list[n:]
	}
	return to
}

// add puts a tag into the set that scratch holds, unless it is there.
func (s *set) add(row uint32, tag string) {
	code, _ := s.dict.take(Value{Kind: Text, Text: tag})
	if slices.Contains(s.scratch, code) {
		s.dict.drop(code)
		return
	}
	if int(code) == len(s.tagged) {
		s.tagged = append(s.tagged, rowSet{})
	}
	s.tagged[code].add(row)
	s.scratch = append(s.scratch, code)
}

func (s *set) drop(row, code uint32) {
	s.tagged[code].remove(row)
	s.dict.drop(code)
}

// wipe empties the row's set, and leaves nothing in memory of tags that nobody
// else has.
func (s *set) wipe(row uint32) {
	for _, code := range s.codesOf(row, s.scratch[:0]) {
		s.tagged[code].remove(row)
		s.dict.wipe(code)
	}
	s.scratch = s.scratch[:0]
	s.keep(row)
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
			s.add(row, tag)
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
	old := s.lists.At(row)
	var room [64]byte
	list := room[:0]
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
		s.has.set(row)
	} else {
		s.has.clear(row)
	}
	s.lists.Set(row, ref)
	if s.arena.Wasteful() {
		var fresh Arena
		for row := range uint32(s.lists.Len()) {
			if ref := s.lists.At(row); ref != 0 {
				s.lists.Set(row, fresh.Add(s.arena.Get(ref)))
			}
		}
		s.arena = fresh
	}
}

func (s *set) size() int {
	bytes := 8*cap(s.has) + s.dict.size() + s.lists.Size() + s.arena.Size() + 32*cap(s.tagged)
	for i := range s.tagged {
		bytes += s.tagged[i].size()
	}
	return bytes
}
