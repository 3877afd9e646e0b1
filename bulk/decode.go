package bulk

import (
	"bytes"
	"errors"

	"golang.org/x/net/http2/hpack"
)

// errCompression is any header block that RFC 7541 does not allow. It ends the
// connection: the tables of the two sides have parted.
var errCompression = errors.New("bulk: malformed header block")

var errLateResize = errors.New("bulk: table size changed within a header block")

// meaning says which of the few headers that we read a name is.
type meaning uint8

const (
	ignored meaning = iota
	statusHeader
	retryAfter
	errorNote // WNS says what is wrong in a header, not in the body
)

// learned is an entry of the dynamic table. Values of ignored headers are not
// kept, only what they count.
type learned struct {
	meaning meaning
	name    int // length
	size    int
	value   []byte
}

// decoder is the receiving side of HPACK on one connection. It understands all
// of RFC 7541 and keeps what answers are judged by.
type decoder struct {
	entries []learned // ring
	newest  int
	count   int
	size    int
	limit   int
	text    bytes.Buffer // of a Huffman string

	// Out of the last block.
	status int
	retry  []byte
	note   []byte
}

func newDecoder() *decoder {
	return &decoder{limit: tableSize, entries: make([]learned, tableSize/entryOverhead)}
}

// decode reads a whole header block.
func (d *decoder) decode(b []byte) error {
	d.status, d.retry, d.note = 0, d.retry[:0], d.note[:0]
	first := true
	for len(b) > 0 {
		var err error
		switch c := b[0]; {
		case c == 0x88: // :status 200, the answer that nearly all pushes get
			d.status, b = 200, b[1:]
		case c >= 0x80:
			b, err = d.indexed(b)
		case c >= 0x40:
			b, err = d.literal(b, 6, true)
		case c >= 0x20:
			if !first {
				return errLateResize // RFC 7541 4.2
			}
			if b, err = d.resize(b); err != nil {
				return err
			}
			continue
		default:
			b, err = d.literal(b, 4, false)
		}
		if err != nil {
			return err
		}
		first = false
	}
	return nil
}

func (d *decoder) resize(b []byte) ([]byte, error) {
	limit, b, ok := readInt(b, 5)
	if !ok || limit > tableSize {
		return nil, errCompression
	}
	d.limit = limit
	d.evict(0)
	return b, nil
}

func (d *decoder) indexed(b []byte) ([]byte, error) {
	index, b, ok := readInt(b, 7)
	if !ok || index == 0 {
		return nil, errCompression
	}
	if index < len(static) {
		if m := staticMeaning(index); m != ignored {
			d.take(m, []byte(static[index].value))
		}
		return b, nil
	}
	e := d.entry(index)
	if e == nil {
		return nil, errCompression
	}
	if e.meaning != ignored {
		d.take(e.meaning, e.value)
	}
	return b, nil
}

func (d *decoder) literal(b []byte, bits int, learn bool) ([]byte, error) {
	index, b, ok := readInt(b, bits)
	if !ok {
		return nil, errCompression
	}
	var m meaning
	var name int
	switch {
	case index == 0:
		raw, huffman, rest, ok := readString(b)
		if !ok {
			return nil, errCompression
		}
		text, err := d.plain(raw, huffman)
		if err != nil {
			return nil, err
		}
		m, name, b = nameMeaning(text), len(text), rest
	case index < len(static):
		m, name = staticMeaning(index), len(static[index].name)
	default:
		e := d.entry(index)
		if e == nil {
			return nil, errCompression
		}
		m, name = e.meaning, e.name
	}
	raw, huffman, b, ok := readString(b)
	if !ok {
		return nil, errCompression
	}
	if m == ignored && !learn {
		return b, nil
	}
	value, err := d.plain(raw, huffman)
	if err != nil {
		return nil, err
	}
	if m != ignored {
		d.take(m, value)
	}
	if learn {
		d.insert(m, name, value)
	}
	return b, nil
}

// plain undoes the Huffman code; what it returns is valid until the next call.
func (d *decoder) plain(raw []byte, huffman bool) ([]byte, error) {
	if !huffman {
		return raw, nil
	}
	d.text.Reset()
	if _, err := hpack.HuffmanDecode(&d.text, raw); err != nil {
		return nil, errCompression
	}
	return d.text.Bytes(), nil
}

func (d *decoder) take(m meaning, value []byte) {
	switch m {
	case statusHeader:
		d.status = 0
		if len(value) == 3 {
			for _, c := range value {
				if c < '0' || c > '9' {
					d.status = 0
					return
				}
				d.status = d.status*10 + int(c-'0')
			}
		}
	case retryAfter:
		d.retry = append(d.retry[:0], value...)
	case errorNote:
		d.note = append(d.note[:0], value...)
	}
}

// entry finds an entry of the dynamic table by its index.
func (d *decoder) entry(index int) *learned {
	back := index - len(static)
	if back >= d.count {
		return nil
	}
	return &d.entries[(d.newest-back+len(d.entries))%len(d.entries)]
}

func (d *decoder) evict(need int) {
	for d.count > 0 && d.size+need > d.limit {
		oldest := &d.entries[(d.newest-d.count+1+len(d.entries))%len(d.entries)]
		d.size -= oldest.size
		d.count--
	}
}

func (d *decoder) insert(m meaning, name int, value []byte) {
	size := name + len(value) + entryOverhead
	d.evict(size)
	if size > d.limit {
		return // RFC 7541 4.4: it has emptied the table
	}
	d.newest = (d.newest + 1) % len(d.entries)
	e := &d.entries[d.newest]
	e.meaning, e.name, e.size, e.value = m, name, size, e.value[:0]
	if m != ignored {
		e.value = append(e.value, value...)
	}
	d.size += size
	d.count++
}

func staticMeaning(index int) meaning {
	switch {
	case index >= 8 && index <= 14:
		return statusHeader
	case index == 53:
		return retryAfter
	}
	return ignored
}

func nameMeaning(name []byte) meaning {
	switch string(name) {
	case ":status":
		return statusHeader
	case "retry-after":
		return retryAfter
	case "x-wns-error-description":
		return errorNote
	}
	return ignored
}

// readInt is RFC 7541 5.1; larger numbers than a block can hold are refused.
func readInt(b []byte, bits int) (n int, rest []byte, ok bool) {
	if len(b) == 0 {
		return 0, nil, false
	}
	limit := 1<<bits - 1
	n = int(b[0]) & limit
	if n < limit {
		return n, b[1:], true
	}
	for i, shift := 1, 0; i < len(b) && shift <= 21; i, shift = i+1, shift+7 {
		n += int(b[i]&0x7f) << shift
		if b[i] < 0x80 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

func readString(b []byte) (raw []byte, huffman bool, rest []byte, ok bool) {
	if len(b) == 0 {
		return nil, false, nil, false
	}
	huffman = b[0]&0x80 != 0
	n, b, ok := readInt(b, 7)
	if !ok || n > len(b) {
		return nil, false, nil, false
	}
	return b[:n], huffman, b[n:], true
}
