package main

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// appendLine appends the person as a line of an NDJSON import, with so many of
// the attributes, and with tags or without.
func (p *person) appendLine(b []byte, attributes int, tags bool) []byte {
	b = p.appendAddress(append(b, '{'))
	b = append(append(append(b, `,"language":"`...), p.language...), `","zone":"`...)
	b = appendTime(append(append(b, p.zone...), `","active":"`...), p.active)
	b = append(b, '"')
	if !p.optedIn {
		b = append(b, `,"opted_in":false`...)
	}
	b = append(b, `,"attributes":{`...)
	for i := range p.traits[:attributes] {
		if c := &p.traits[i]; c.kind != 0 {
			b = append(append(append(b, '"'), traits[i].name...), `":`...)
			b = append(c.appendJSON(b), ',')
		}
	}
	if b[len(b)-1] == ',' {
		b = b[:len(b)-1]
	}
	b = append(b, '}')
	if tags {
		b = p.appendTags(b)
	}
	return append(b, "}\n"...)
}

// appendUpdate appends a line that gives the person another number of articles.
func (p *person) appendUpdate(b []byte, change int) []byte {
	b = p.appendAddress(append(b, '{'))
	b = strconv.AppendInt(append(b, `,"attributes":{"articles":`...), int64((p.number+change)%50), 10)
	return append(b, "}}\n"...)
}

// appendTags appends the sets that are not empty; one of them never is.
func (p *person) appendTags(b []byte) []byte {
	b = append(b, `,"tags":{`...)
	for i := range tagSets {
		if len(p.tags[i]) == 0 {
			continue
		}
		b = append(append(append(b, '"'), tagSets[i].name...), `":[`...)
		for _, n := range p.tags[i] {
			b = append(append(append(b, '"'), tagSets[i].tags.list[n]...), `",`...)
		}
		b = append(b[:len(b)-1], `],`...)
	}
	b[len(b)-1] = '}'
	return b
}

// appendAddress appends what names the subscription: an FCM token has 163
// characters, one of APNs 32 bytes.
func (p *person) appendAddress(b []byte) []byte {
	if p.fcm {
		var raw [120]byte
		for i := range 15 {
			binary.LittleEndian.PutUint64(raw[8*i:], mix(p.token+uint64(i)))
		}
		b = append(b, `"provider":"fcm","token":"`...)
		b = base64.RawURLEncoding.AppendEncode(b, raw[:16])
		b = append(b, ":APA91b"...)
		b = base64.RawURLEncoding.AppendEncode(b, raw[16:116])
	} else {
		var raw [32]byte
		for i := range 4 {
			binary.LittleEndian.PutUint64(raw[8*i:], mix(p.token+uint64(i)))
		}
		b = append(b, `"provider":"apns","token":"`...)
		b = hex.AppendEncode(b, raw[:])
	}
	b = append(b, '"')
	if p.user >= 0 {
		return append(strconv.AppendInt(append(b, `,"user":"reader-`...), int64(p.user), 10), '"')
	}
	b, _ = p.chosen().AppendText(append(b, `,"id":"`...))
	return append(b, '"')
}

func (c *cell) appendJSON(b []byte) []byte {
	switch c.kind {
	case client.Text:
		return append(append(append(b, '"'), c.text...), '"')
	case client.URL:
		return append(append(append(b, `{"url":"`...), c.text...), `"}`...)
	case client.Integer:
		return strconv.AppendInt(b, c.integer, 10)
	case client.Float:
		return appendReal(b, c.real)
	case client.Boolean:
		return strconv.AppendBool(b, c.integer != 0)
	case client.Time:
		return append(appendTime(append(b, `{"time":"`...), c.integer), `"}`...)
	case client.Location:
		b = strconv.AppendFloat(append(b, `{"lat":`...), c.lat, 'f', -1, 64)
		return append(strconv.AppendFloat(append(b, `,"lon":`...), c.lon, 'f', -1, 64), '}')
	}
	return b
}

// appendReal keeps a point, so that it is read as a float.
func appendReal(b []byte, f float64) []byte {
	from := len(b)
	b = strconv.AppendFloat(b, f, 'f', -1, 64)
	for _, c := range b[from:] {
		if c == '.' {
			return b
		}
	}
	return append(b, ".0"...)
}

// appendTime appends an instant in RFC 3339 and UTC, which an import of millions
// cannot leave to package time.
func appendTime(b []byte, unix int64) []byte {
	at := time.Unix(unix, 0).UTC()
	year, month, day := at.Date()
	hour, minute, second := at.Clock()
	two := func(n int, then byte) { b = append(b, byte('0'+n/10), byte('0'+n%10), then) }
	b = append(strconv.AppendInt(b, int64(year), 10), '-')
	two(int(month), '-')
	two(day, 'T')
	two(hour, ':')
	two(minute, ':')
	two(second, 'Z')
	return b
}

// crowdStream is people as the body of an import, made while it is read.
type crowdStream struct {
	crowd      *crowd
	from, to   int
	attributes int
	tags       bool
	change     int         // not 0: nothing but one attribute, made of this number
	deeds      bool        // nothing but events
	pace       func(n int) // called before the n-th of the stream; nil: as fast as it is read
	next       int
	left       []byte
	room       []byte
	person     person
	did        []deed
	told       int // events so far
}

func (s *crowdStream) Read(to []byte) (int, error) {
	if len(s.left) == 0 {
		s.room = s.room[:0]
		for s.from+s.next < s.to && len(s.room) < 64<<10 {
			if s.pace != nil {
				s.pace(s.next)
			}
			s.append(s.from + s.next)
			s.next++
		}
		if s.left = s.room; len(s.left) == 0 {
			return 0, io.EOF
		}
	}
	n := copy(to, s.left)
	s.left = s.left[n:]
	return n, nil
}

func (s *crowdStream) append(n int) {
	if s.deeds {
		s.did = s.crowd.deeds(n, &s.person, s.did[:0])
		for i := range s.did {
			s.room = s.did[i].appendLine(s.room, &s.person)
		}
		s.told += len(s.did)
		return
	}
	s.crowd.at(n, &s.person)
	if s.change != 0 {
		s.room = s.person.appendUpdate(s.room, s.change)
	} else {
		s.room = s.person.appendLine(s.room, s.attributes, s.tags)
	}
}

// Seek tells nothing of the length and goes to the beginning only, which is
// what an upload that nothing interrupts asks for.
func (s *crowdStream) Seek(offset int64, whence int) (int64, error) {
	switch {
	case whence == io.SeekEnd:
		return 1 << 62, nil
	case offset != 0 || s.next > 0:
		return 0, errors.New("the stream goes forward only")
	}
	return 0, nil
}
