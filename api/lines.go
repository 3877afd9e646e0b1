package api

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

// piece is a part of an import's stream: whole lines only.
type piece struct {
	data  []byte
	lines []span
	end   int64 // offset behind it in the stream
	count int64 // lines behind it, blank ones included

	parsed   chan struct{} // closed when the rest is there
	at       time.Time     // of its changes; later than that of the piece before
	changes  *bundle
	held     []heldLine // from the first line on that names its subscription only; events that do
	imported int64
	failed   int64
	bad      []client.BadLine // the first of those
}

// heldLine waits for what comes before it.
type heldLine struct {
	span   span
	change *record.Upsert
	event  *record.Event // instead
}

// refuse notes that a line was not taken.
func (p *piece) refuse(s span, err error) {
	p.failed += s.lines
	at, _ := slices.BinarySearchFunc(p.bad, s.number, func(b client.BadLine, number int64) int { return cmp.Compare(b.Line, number) })
	if at == client.MaxBadLines {
		return
	}
	p.bad = slices.Insert(p.bad, at, badLine(s, err))
	p.bad = p.bad[:min(len(p.bad), client.MaxBadLines)]
}

// span is one record of the stream: a line, or a CSV row of several.
type span struct {
	from, to int
	number   int64 // of its first line, from 1
	lines    int64
	long     bool // over the limit: its bytes are not kept
}

// A piece is closed at this many bytes or records.
const (
	pieceBytes   = 1 << 20
	pieceRecords = 4096
)

// badLine tells what is wrong with a record, in a bounded number of bytes: the
// row of an import holds very many. A row of several lines is one only because
// of quotes, so the line with the first of them is named.
func badLine(s span, err error) client.BadLine {
	bad := client.BadLine{Line: s.number}
	bad.Field, bad.Reason = fieldOf(err)
	var about *fieldError
	if errors.As(err, &about) && about.brief != "" {
		bad.Reason, bad.Found = about.brief, about.found
	}
	if s.lines > 1 {
		bad.Reason = fmt.Sprintf("a quote opens here, so lines %d to %d are one row: %s", s.number, s.number+s.lines-1, bad.Reason)
	}
	bad.Field, bad.Reason = strings.Clone(short(bad.Field)), strings.Clone(short(bad.Reason)) // not a part of what was read
	return bad
}

// short cuts a text to maxReason bytes as they are stored.
func short(text string) string {
	const maxReason = 100
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	size := 0
	for i, r := range text {
		stored, _ := json.Marshal(string(r)) // always succeeds; some take six bytes for one
		if size += len(stored) - 2; size > maxReason {
			return text[:i]
		}
	}
	return text
}

// cutter cuts a stream into pieces.
type cutter struct {
	in     *bufio.Reader
	quotes bool // CSV: a line break inside quotes belongs to the row
	limit  int  // bytes of one record
	offset int64
	lines  int64
}

// next returns the next piece. A record that the stream broke off in is not
// in it: err then is what broke it off. At the end of the stream err is io.EOF
// and the last record may lack its line break.
func (c *cutter) next() (*piece, error) {
	p := &piece{data: make([]byte, 0, pieceBytes+pieceBytes/8), parsed: make(chan struct{}), end: c.offset, count: c.lines}
	for len(p.data) < pieceBytes && len(p.lines) < pieceRecords {
		if err := c.record(p); err != nil {
			return p, err
		}
	}
	return p, nil
}

// record reads one record.
func (c *cutter) record(p *piece) error {
	s := span{from: len(p.data), number: c.lines + 1}
	open, broken := false, false // inside quotes; behind a part of a line
	size, lines := int64(0), int64(0)
	for {
		part, err := c.in.ReadSlice('\n')
		size += int64(len(part))
		if !s.long && len(p.data)-s.from+len(part) > c.limit+1 {
			s.long, p.data = true, p.data[:s.from]
		}
		if !s.long {
			p.data = append(p.data, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			broken = true
			open = open != (c.quotes && bytes.Count(part, []byte{'"'})%2 == 1)
			continue
		case err == nil:
			lines++
			broken = false
			open = open != (c.quotes && bytes.Count(part, []byte{'"'})%2 == 1)
			if open && !s.long { // a row that is too long ends with its line
				continue
			}
		case errors.Is(err, io.EOF):
			if size == 0 {
				return io.EOF
			}
			if broken || len(part) > 0 { // the last line lacks its break
				lines++
			}
		default:
			p.data = p.data[:s.from]
			return err
		}
		c.offset += size
		c.lines += lines
		s.to, s.lines = len(p.data), lines
		p.end, p.count = c.offset, c.lines
		if s.long || len(bytes.TrimSpace(p.data[s.from:s.to])) > 0 {
			p.lines = append(p.lines, s)
		}
		return err
	}
}

// fields cuts a CSV row (RFC 4180).
func fields(row []byte, into []string) ([]string, error) {
	row = bytes.TrimSuffix(bytes.TrimSuffix(row, []byte("\n")), []byte("\r"))
	for {
		if len(row) > 0 && row[0] == '"' {
			var text []byte
			rest := row[1:]
			for {
				at := bytes.IndexByte(rest, '"')
				if at < 0 {
					return nil, wrong("", "a quote is not closed")
				}
				text = append(text, rest[:at]...)
				if rest = rest[at+1:]; len(rest) == 0 || rest[0] != '"' {
					break
				}
				text = append(text, '"')
				rest = rest[1:]
			}
			into = append(into, string(text))
			if len(rest) == 0 {
				return into, nil
			}
			if rest[0] != ',' {
				return nil, wrong("", "something follows a closing quote")
			}
			row = rest[1:]
			continue
		}
		at := bytes.IndexByte(row, ',')
		text := row
		if at >= 0 {
			text = row[:at]
		}
		if bytes.IndexByte(text, '"') >= 0 {
			return nil, wrong("", "a quote inside a field without quotes")
		}
		into = append(into, string(text))
		if at < 0 {
			return into, nil
		}
		row = row[at+1:]
	}
}
