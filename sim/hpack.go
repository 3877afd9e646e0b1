package sim

import (
	"bytes"
	"errors"

	"golang.org/x/net/http2/hpack"
)

// headerTableSize is what we let the peer's encoder use: the protocol's default.
const headerTableSize = 4096

// errCompression ends a connection: HPACK state is lost (RFC 7541 2.3.3...).
var errCompression = errors.New("sim: header block cannot be decoded")

// decoder decodes every header of one connection's requests, RFC 7541.
type decoder struct {
	table []entry // oldest first
	size  int     // sum of entry sizes
	limit int     // set by the peer's size updates, at most headerTableSize
	huff  bytes.Buffer
	// Huffman-coded strings that came lately: a sender repeats its long literals
	// (the provider token, above all) with every push.
	coded [16]struct{ code, text []byte }

	literally entry // the last header that was written out
	huffman   bool  // its value was Huffman coded
	request   request
	pattern   pattern
}

func newDecoder() *decoder { return &decoder{limit: headerTableSize} }

// decode reads the headers of a request. They are valid until the next decode,
// or until the block's bytes change.
func (d *decoder) decode(stream uint32, block []byte) (*request, error) {
	if d.likeLast(block) {
		d.request.stream, d.request.body = stream, nil
		return &d.request, nil
	}
	d.request.reset(stream)
	d.request.form++
	d.pattern.begin()
	if err := d.headers(block); err != nil {
		d.pattern.begin()
		return nil, err
	}
	d.pattern.keep(block, &d.request)
	return &d.request, nil
}

func (d *decoder) headers(block []byte) error {
	d.huff.Reset()
	first, whole := true, len(block)
	for len(block) > 0 {
		b := block[0]
		e := &d.literally
		var err error
		switch {
		case b >= 0x80: // indexed
			index := int(b & 0x7f)
			if index == 0x7f {
				if index, block, err = integer(block, 7); err != nil {
					return err
				}
			} else {
				block = block[1:]
			}
			if e = d.at(index); e == nil {
				return errCompression
			}
		case b >= 0x40: // literal, incremental indexing
			if block, err = d.literal(block, 6); err != nil {
				return err
			}
			d.insert()
			d.pattern.spoil()
		case b >= 0x20: // size update
			d.pattern.spoil()
			var limit int
			if limit, block, err = integer(block, 5); err != nil || limit > headerTableSize || !first {
				return errCompression
			}
			d.limit = limit
			d.evict(0)
			continue
		default: // literal without indexing, or never indexed
			if block, err = d.literal(block, 4); err != nil {
				return err
			}
			if !d.huffman {
				d.pattern.literal(e, whole-len(block))
			}
		}
		first = false
		d.request.add(e)
	}
	return nil
}

// at returns the header at an index of both tables, or nil.
func (d *decoder) at(index int) *entry {
	if index < len(staticTable) {
		if index == 0 {
			return nil
		}
		return &staticTable[index]
	}
	if index -= len(staticTable); index < len(d.table) {
		return &d.table[len(d.table)-1-index]
	}
	return nil
}

// literal reads a header that is written out into d.literally.
func (d *decoder) literal(block []byte, prefix uint) (rest []byte, err error) {
	e := &d.literally
	index, rest, err := integer(block, prefix)
	if err != nil {
		return nil, err
	}
	if index == 0 {
		if e.name, rest, err = d.text(rest); err != nil {
			return nil, err
		}
		e.field = fieldOf(e.name)
	} else if known := d.at(index); known != nil {
		e.field, e.name = known.field, known.name
	} else {
		return nil, errCompression
	}
	e.value, rest, err = d.text(rest)
	return rest, err
}

func (d *decoder) text(block []byte) (text, rest []byte, err error) {
	if len(block) == 0 {
		return nil, nil, errCompression
	}
	d.huffman = block[0]&0x80 != 0
	n, block, err := integer(block, 7)
	if err != nil || n > len(block) {
		return nil, nil, errCompression
	}
	if !d.huffman || n == 0 {
		return block[:n:n], block[n:], nil
	}
	slot := &d.coded[(n+int(block[0])+int(block[n-1]))%len(d.coded)]
	if string(slot.code) == string(block[:n]) {
		return slot.text, block[n:], nil
	}
	// The buffer may move when it grows; earlier texts keep the old memory.
	start := d.huff.Len()
	if _, err := hpack.HuffmanDecode(&d.huff, block[:n]); err != nil {
		return nil, nil, errCompression
	}
	slot.code, slot.text = bytes.Clone(block[:n]), bytes.Clone(d.huff.Bytes()[start:])
	return slot.text, block[n:], nil
}

// insert puts a copy of d.literally into the dynamic table.
func (d *decoder) insert() {
	e := &d.literally
	size := e.size()
	both := make([]byte, 0, len(e.name)+len(e.value))
	both = append(append(both, e.name...), e.value...)
	e.name, e.value = both[:len(e.name):len(e.name)], both[len(e.name):]
	d.evict(size)
	if size <= d.limit {
		d.table = append(d.table, *e)
		d.size += size
	}
}

// evict makes room for an entry of this size (RFC 7541 4.3, 4.4).
func (d *decoder) evict(room int) {
	gone := 0
	for ; gone < len(d.table) && d.size+room > d.limit; gone++ {
		d.size -= d.table[gone].size()
		d.table[gone] = entry{}
	}
	d.table = d.table[gone:]
}

// integer reads a prefixed integer, RFC 7541 5.1; more than 28 bits is refused.
func integer(b []byte, prefix uint) (int, []byte, error) {
	mask := 1<<prefix - 1
	if len(b) == 0 {
		return 0, nil, errCompression
	}
	n := int(b[0]) & mask
	b = b[1:]
	if n < mask {
		return n, b, nil
	}
	for shift := 0; shift <= 21 && len(b) > 0; shift += 7 {
		c := b[0]
		b = b[1:]
		n += int(c&0x7f) << shift
		if c < 0x80 {
			return n, b, nil
		}
	}
	return 0, nil, errCompression
}
