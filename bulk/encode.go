package bulk

import "golang.org/x/net/http2/hpack"

// Policy says how a constant header travels in HPACK.
type Policy uint8

const (
	Indexed  Policy = iota // kept in the dynamic table, one or two bytes a push
	NameOnly               // the first value is put into the table for its name; later ones are literals
	Literal                // literal without indexing
	Never                  // literal that no proxy may index either
)

// Header is a header field with the same value for every push of a batch. The
// name is in lower case.
type Header struct {
	Name, Value string
	Policy      Policy
}

// Shape is the constant part of a batch's requests, which are all POST. It is
// not changed after its first use, and shared by the batches that are alike:
// connections remember its encoded form by its address.
type Shape struct {
	Path    string // the same for every push; empty: Pushes.AppendPath writes it
	Headers []Header
	Unique  string // name of the one header that differs from push to push, if any
}

// form is the encoded shape, valid for one state of a connection's table.
type form struct {
	shape  *Shape
	state  int
	before []byte // up to :path
	after  []byte // from :path up to the value of the unique header
}

// encoder is the sending side of HPACK on one connection.
type encoder struct {
	authority string
	entries   []field // oldest first
	size      int
	limit     int
	smallest  int // least limit since the last block, announced with it
	changed   bool
	state     int // rises when the table changes: indexes have moved
	forms     []form
}

func newEncoder(authority string) *encoder {
	return &encoder{authority: authority, limit: tableSize}
}

// setLimit follows the peer's SETTINGS_HEADER_TABLE_SIZE; we never use more
// than the default.
func (e *encoder) setLimit(limit int) {
	limit = min(limit, tableSize)
	if limit == e.limit {
		return
	}
	if !e.changed || limit < e.smallest {
		e.smallest = limit
	}
	e.changed, e.limit = true, limit
	e.evict(0)
	e.state++
}

// evict makes room for need bytes.
func (e *encoder) evict(need int) {
	gone := 0
	for gone < len(e.entries) && e.size+need > e.limit {
		e.size -= e.entries[gone].size()
		gone++
	}
	e.entries = append(e.entries[:0], e.entries[gone:]...)
}

func (e *encoder) insert(f field) {
	e.evict(f.size())
	if f.size() <= e.limit {
		e.entries = append(e.entries, f)
		e.size += f.size()
	}
	e.state++
}

// find returns the index of the field, or of one with its name, or 0.
func (e *encoder) find(f field) (index int, exact bool) {
	for i := 1; i < len(static); i++ {
		if static[i].name == f.name {
			if static[i].value == f.value {
				return i, true
			}
			if index == 0 {
				index = i
			}
		}
	}
	for i := len(e.entries) - 1; i >= 0; i-- {
		if e.entries[i].name == f.name {
			at := len(static) + len(e.entries) - 1 - i
			if e.entries[i].value == f.value {
				return at, true
			}
			if index == 0 {
				index = at
			}
		}
	}
	return index, false
}

// ready returns the encoded form of the shape, or nil when a block must be
// sent with teach first.
func (e *encoder) ready(s *Shape) *form {
	for i := range e.forms {
		if f := &e.forms[i]; f.shape == s {
			if f.state == e.state && !e.changed {
				return f
			}
			return nil
		}
	}
	return nil
}

// teach appends a whole block that puts what the shape has constant into the
// peer's table, then keeps the form that refers to it.
func (e *encoder) teach(dst []byte, s *Shape, p Pushes, i int) []byte {
	if e.changed { // RFC 7541 4.2: the least limit and the last one open the block
		if e.smallest < e.limit {
			// Nothing of the table is kept: some peers take a second change only
			// with an empty one.
			e.entries, e.size = e.entries[:0], 0
			dst = appendInt(dst, 0x20, 5, 0)
		}
		dst = appendInt(dst, 0x20, 5, e.limit)
		e.changed = false
	}
	dst = e.before(dst, s, true)
	if s.Path == "" {
		dst = appendPath(dst, p, i)
	}
	dst = e.after(dst, s, true)
	if s.Unique != "" {
		name, _ := e.find(field{name: s.Unique, value: "\x00"})
		if name != 0 {
			dst = appendUnique(appendName(dst, 0, 4, name, s.Unique), p, i)
		} else {
			dst = appendUnique(appendName(dst, 0x40, 6, 0, s.Unique), p, i)
			e.insert(field{s.Unique, string(p.AppendUnique(nil, i))})
		}
	}
	f := e.keep(s)
	f.before = e.before(f.before[:0], s, false)
	f.after = e.after(f.after[:0], s, false)
	if s.Unique != "" {
		name, _ := e.find(field{name: s.Unique, value: "\x00"})
		f.after = appendName(f.after, 0, 4, name, s.Unique)
	}
	f.state = e.state
	return dst
}

// keep returns the shape's slot, at the cost of the oldest of many others.
func (e *encoder) keep(s *Shape) *form {
	for i := range e.forms {
		if e.forms[i].shape == s {
			return &e.forms[i]
		}
	}
	const most = 16
	if len(e.forms) == most {
		old := e.forms[0]
		copy(e.forms, e.forms[1:])
		e.forms[most-1] = form{before: old.before, after: old.after}
	} else {
		e.forms = append(e.forms, form{})
	}
	f := &e.forms[len(e.forms)-1]
	f.shape = s
	return f
}

func (e *encoder) before(dst []byte, s *Shape, teach bool) []byte {
	dst = e.header(dst, Header{Name: ":method", Value: "POST"}, teach)
	dst = e.header(dst, Header{Name: ":scheme", Value: "https"}, teach)
	dst = e.header(dst, Header{Name: ":authority", Value: e.authority}, teach)
	if s.Path != "" {
		dst = e.header(dst, Header{Name: ":path", Value: s.Path}, teach)
	}
	return dst
}

func (e *encoder) after(dst []byte, s *Shape, teach bool) []byte {
	for _, h := range s.Headers {
		dst = e.header(dst, h, teach)
	}
	return dst
}

// header appends one constant header; with teach it may enter the table.
func (e *encoder) header(dst []byte, h Header, teach bool) []byte {
	f := field{h.Name, h.Value}
	index, exact := e.find(f)
	fits := f.size() <= e.limit
	switch {
	case exact && h.Policy == Indexed:
		return appendInt(dst, 0x80, 7, index)
	case teach && fits && (h.Policy == Indexed || h.Policy == NameOnly && index == 0):
		dst = appendString(appendName(dst, 0x40, 6, index, h.Name), h.Value)
		e.insert(f)
		return dst
	case h.Policy == Never:
		return appendString(appendName(dst, 0x10, 4, index, h.Name), h.Value)
	default:
		return appendString(appendName(dst, 0, 4, index, h.Name), h.Value)
	}
}

// appendName opens a literal: the index of its name, or the name itself.
func appendName(dst []byte, pattern byte, bits, index int, name string) []byte {
	dst = appendInt(dst, pattern, bits, index)
	if index == 0 {
		dst = appendString(dst, name)
	}
	return dst
}

// appendInt is RFC 7541 5.1.
func appendInt(dst []byte, pattern byte, bits, n int) []byte {
	limit := 1<<bits - 1
	if n < limit {
		return append(dst, pattern|byte(n))
	}
	dst = append(dst, pattern|byte(limit))
	for n -= limit; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

// appendString appends a constant string, in Huffman code where that is shorter.
func appendString(dst []byte, s string) []byte {
	if n := int(hpack.HuffmanEncodeLength(s)); n < len(s) {
		return hpack.AppendHuffmanString(appendInt(dst, 0x80, 7, n), s)
	}
	return append(appendInt(dst, 0, 7, len(s)), s...)
}

// appendPath appends the literal without indexing of a push's :path.
func appendPath(dst []byte, p Pushes, i int) []byte {
	dst = append(dst, staticPath, 0)
	at := len(dst)
	dst = p.AppendPath(dst, i)
	return closeString(dst, at)
}

// appendUnique appends the value of a push's unique header.
func appendUnique(dst []byte, p Pushes, i int) []byte {
	dst = append(dst, 0)
	at := len(dst)
	dst = p.AppendUnique(dst, i)
	return closeString(dst, at)
}

// closeString writes the length of the string that starts at, before which one
// byte is free. A length that needs more bytes moves the string.
func closeString(dst []byte, at int) []byte {
	n := len(dst) - at
	if n < 0x7f {
		dst[at-1] = byte(n)
		return dst
	}
	var head [6]byte
	length := appendInt(head[:0], 0, 7, n)
	dst = append(dst, length[1:]...) // grows by what the length takes beyond its byte
	copy(dst[at-1+len(length):], dst[at:at+n])
	copy(dst[at-1:], length)
	return dst
}
