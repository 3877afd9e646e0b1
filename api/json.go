package api

import (
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
	"unsafe"
)

// checkJSON walks a body once before anything is built from it. It refuses
// what would cost more than it says (depth, number of values), bytes that are
// not UTF-8 (which encoding/json would replace silently) and an object that
// names a key twice (of which two readers may see different ones).
func checkJSON(body []byte, depth, values int) error {
	if !utf8.Valid(body) {
		return errors.New("body is not valid UTF-8")
	}
	s := scanner{body: body, depth: depth, values: values}
	s.space()
	if s.at == len(body) {
		return errors.New("body is empty")
	}
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.at != len(body) {
		return fmt.Errorf("something follows the JSON value at byte %d", s.at)
	}
	return nil
}

// maxItems is one more than the longest array of the API may hold, so that the
// schema says which limit it is, and nothing is built of a longer one.
const maxItems = 10_001

var errDeep = errors.New("too deep")

type scanner struct {
	body   []byte
	at     int
	depth  int
	values int
	views  bool // texts without escapes stand in the body, which stays as it is
}

// view is bytes as a string, which stand where they stood.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func (s *scanner) space() {
	for s.at < len(s.body) {
		switch s.body[s.at] {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return
		}
	}
}

func (s *scanner) bad() error {
	if s.at >= len(s.body) {
		return errors.New("JSON ends too early")
	}
	return fmt.Errorf("not JSON at byte %d", s.at)
}

// value reads past one value.
func (s *scanner) value(depth int) error {
	if s.at >= len(s.body) {
		return s.bad()
	}
	switch s.body[s.at] {
	case '{':
		return s.object(depth, func(string) error { return s.value(depth + 1) })
	case '[':
		return s.array(depth, func(int) error { return s.value(depth + 1) })
	}
	if err := s.count(); err != nil {
		return err
	}
	if s.body[s.at] == '"' {
		_, err := s.text()
		return err
	}
	_, err := s.plain()
	return err
}

func (s *scanner) count() error {
	if s.values--; s.values < 0 {
		return errors.New("too many values")
	}
	return nil
}

// plain reads a number, true, false or null.
func (s *scanner) plain() ([]byte, error) {
	from := s.at
	for s.at < len(s.body) && plainByte(s.body[s.at]) {
		s.at++
	}
	word := s.body[from:s.at]
	switch string(word) {
	case "true", "false", "null":
		return word, nil
	}
	if !number(word) {
		s.at = from
		return nil, s.bad()
	}
	return word, nil
}

func plainByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c == '-' || c == '+' || c == '.' || c == 'E'
}

// number holds a word against RFC 8259 section 6.
func number(b []byte) bool {
	digits := func() bool {
		n := 0
		for n < len(b) && b[n] >= '0' && b[n] <= '9' {
			n++
		}
		b = b[n:]
		return n > 0
	}
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	if len(b) > 1 && b[0] == '0' && b[1] >= '0' && b[1] <= '9' || !digits() {
		return false
	}
	if len(b) > 0 && b[0] == '.' {
		if b = b[1:]; !digits() {
			return false
		}
	}
	if len(b) > 0 && (b[0] == 'e' || b[0] == 'E') {
		if b = b[1:]; len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		if !digits() {
			return false
		}
	}
	return len(b) == 0
}

// open reads the bracket that begins an array or object at this depth.
func (s *scanner) open(depth int, bracket byte) error {
	if err := s.count(); err != nil {
		return err
	}
	if s.at >= len(s.body) || s.body[s.at] != bracket {
		return s.bad()
	}
	if depth >= s.depth {
		return fmt.Errorf("%w: more than %d levels at byte %d", errDeep, s.depth, s.at)
	}
	s.at++
	s.space()
	return nil
}

// array reads an array; item reads past the value that it stands at.
func (s *scanner) array(depth int, item func(index int) error) error {
	if err := s.open(depth, '['); err != nil {
		return err
	}
	if s.at < len(s.body) && s.body[s.at] == ']' {
		s.at++
		return nil
	}
	for i := 0; ; i++ {
		if i == maxItems {
			return fmt.Errorf("more than %d items in one array at byte %d", maxItems, s.at)
		}
		s.space()
		if err := item(i); err != nil {
			return err
		}
		if more, err := s.next(']'); !more {
			return err
		}
	}
}

// object reads an object; member reads past the value that it stands at.
func (s *scanner) object(depth int, member func(name string) error) error {
	if err := s.open(depth, '{'); err != nil {
		return err
	}
	if s.at < len(s.body) && s.body[s.at] == '}' {
		s.at++
		return nil
	}
	var names names
	for {
		s.space()
		name, err := s.text()
		if err != nil {
			return err
		}
		if !names.add(name) {
			return fmt.Errorf("name %.60q stands twice in one object", name)
		}
		s.space()
		if s.at >= len(s.body) || s.body[s.at] != ':' {
			return s.bad()
		}
		s.at++
		s.space()
		if err := member(name); err != nil {
			return err
		}
		if more, err := s.next('}'); !more {
			return err
		}
	}
}

// names are those of one object. Most objects are small: no map for them. What
// has no bit of its own in common with those before is new without a comparison.
type names struct {
	few  [32]string
	n    int
	bits uint64
	many map[string]struct{}
}

// add reports whether the name is new.
func (s *names) add(name string) bool {
	bit := uint64(0)
	if last := len(name) - 1; last >= 0 {
		bit = 1 << ((uint(name[0])*31 + uint(name[last/2])*7 + uint(name[last])*3 + uint(last)) % 64)
	}
	if s.bits&bit != 0 || bit == 0 {
		for _, n := range s.few[:s.n] {
			if n == name {
				return false
			}
		}
	}
	s.bits |= bit
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	if s.many == nil {
		s.many = map[string]struct{}{}
	}
	_, old := s.many[name]
	s.many[name] = struct{}{}
	return !old
}

// next reads a comma (more is true) or the end of the list.
func (s *scanner) next(end byte) (more bool, err error) {
	s.space()
	if s.at >= len(s.body) {
		return false, s.bad()
	}
	switch s.body[s.at] {
	case ',':
		s.at++
		return true, nil
	case end:
		s.at++
		return false, nil
	}
	return false, s.bad()
}

// text reads a string and returns it without its escapes.
func (s *scanner) text() (string, error) {
	if s.at >= len(s.body) || s.body[s.at] != '"' {
		return "", s.bad()
	}
	from, escaped := s.at, false
	for s.at++; s.at < len(s.body); s.at++ {
		for s.at < len(s.body) && ordinary(s.body[s.at]) {
			s.at++
		}
		if s.at == len(s.body) {
			break
		}
		switch c := s.body[s.at]; {
		case c == '"':
			s.at++
			raw := s.body[from:s.at]
			switch raw := raw[1 : len(raw)-1]; {
			case escaped:
			case s.views:
				return view(raw), nil
			default:
				return string(raw), nil
			}
			return unescape(raw)
		case c == '\\':
			escaped = true
			s.at++
		case c < ' ':
			return "", s.bad()
		}
	}
	return "", s.bad()
}

// ordinary tells bytes that stand for themselves in a string.
func ordinary(c byte) bool { return c >= ' ' && c != '"' && c != '\\' }

// unescape reads a JSON string with escapes, refusing half a surrogate pair,
// which encoding/json would replace silently.
func unescape(raw []byte) (string, error) {
	out := make([]byte, 0, len(raw))
	for i := 1; i < len(raw)-1; i++ {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			continue
		}
		i++
		switch c := raw[i]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b', 'f', 'n', 'r', 't':
			out = append(out, map[byte]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}[c])
		case 'u':
			r, ok := unit(raw, i+1)
			if !ok {
				return "", errors.New("bad \\u escape in a string")
			}
			i += 4
			if r >= 0xD800 && r < 0xE000 {
				low, ok := rune(0), false
				if i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u' {
					low, ok = unit(raw, i+3)
				}
				if !ok || r >= 0xDC00 || low < 0xDC00 || low >= 0xE000 {
					return "", errors.New("half a surrogate pair in a string")
				}
				r = (r-0xD800)<<10 | (low - 0xDC00) + 0x10000
				i += 6
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", fmt.Errorf("bad escape \\%c in a string", c)
		}
	}
	return string(out), nil
}

func unit(raw []byte, at int) (rune, bool) {
	if at+4 > len(raw)-1 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(raw[at:at+4]), 16, 16)
	return rune(v), err == nil
}
