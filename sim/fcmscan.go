package sim

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"unicode/utf8"
)

// fcmPayloadLimit is the greatest size of notification and data, in bytes.
const fcmPayloadLimit = 4096

// fcmMessage is what the simulator reads of a send request.
type fcmMessage struct {
	token []byte
	tag   []byte // android.notification.tag
}

// fcmScanner reads send requests in one pass. Most requests of a connection
// differ in the token alone; those are compared with the one before instead.
type fcmScanner struct {
	message    fcmMessage
	head, tail []byte // around the token of the last good request

	text    []byte // being read
	at      int
	targets int
	size    int
	found   [2]int // where the token's text lies in text; 0, 0: not plain
	no      *fcmError
}

// fcmObject is where in a message an object stands; it decides which members it may have.
type fcmObject uint8

const (
	fcmAny fcmObject = iota // members are not looked at
	fcmRoot
	fcmTop
	fcmNotification
	fcmAndroid
	fcmAndroidNotification
	fcmData // texts only
	fcmToken
	fcmTag
	fcmTarget
	fcmNone // no such member
)

// scan returns the message, or what is wrong with the request.
func (s *fcmScanner) scan(body []byte) (*fcmMessage, *fcmError) {
	if token, ok := s.likeLast(body); ok {
		s.message.token = token
		return &s.message, nil
	}
	s.text, s.at, s.targets, s.size, s.found, s.no = body, 0, 0, 0, [2]int{}, nil
	s.message.token, s.message.tag, s.tail = nil, nil, nil
	if !s.value(fcmRoot, "") || s.space() != 0 {
		if s.no == nil {
			s.no = &fcmError{400, "", "body", "Invalid JSON payload received."}
		}
		return nil, s.no
	}
	switch {
	case s.targets != 1:
		return nil, &fcmError{400, "INVALID_ARGUMENT", "", "Recipient of the message is not set, or set more than once."}
	case s.message.token == nil:
		return nil, &fcmError{400, "", "message", "The simulator serves registration tokens only."}
	case s.size > fcmPayloadLimit:
		return &s.message, &fcmError{400, "", "message", "Message is too big."}
	}
	if s.found[1] > 0 {
		s.head = append(s.head[:0], body[:s.found[0]]...)
		s.tail = append(s.tail[:0], body[s.found[1]:]...)
	}
	return &s.message, s.token()
}

func (s *fcmScanner) likeLast(body []byte) ([]byte, bool) {
	if len(s.tail) == 0 || len(body) < len(s.head)+len(s.tail) ||
		!bytes.HasSuffix(body, s.tail) || !bytes.HasPrefix(body, s.head) {
		return nil, false
	}
	token := body[len(s.head) : len(body)-len(s.tail)]
	return token, isFCMToken(token)
}

// token checks the form of a registration token.
func (s *fcmScanner) token() *fcmError {
	if !isFCMToken(s.message.token) {
		return &fcmError{400, "INVALID_ARGUMENT", "", badToken}
	}
	return nil
}

// isFCMToken reports whether text is of letters, digits, '-', '_' and ':'.
func isFCMToken(text []byte) bool {
	if len(text) == 0 {
		return false
	}
	fits := uint64(highOf8) // of each byte; one from 0x80 on is within no range, whatever was carried into it
	for len(text) > 0 {
		var w uint64
		if len(text) >= 8 {
			w, text = binary.LittleEndian.Uint64(text), text[8:]
		} else {
			tail := [8]byte{'0', '0', '0', '0', '0', '0', '0', '0'}
			copy(tail[:], text)
			w, text = binary.LittleEndian.Uint64(tail[:]), nil
		}
		fits &= within(w, '0', ':') | within(w|onesOf8*0x20, 'a', 'z') | within(w, '-', '-') | within(w, '_', '_')
	}
	return fits == highOf8
}

// space skips white space and returns the next byte, or 0 at the end.
func (s *fcmScanner) space() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\n', '\r', '\t':
		default:
			return c
		}
	}
	return 0
}

// value reads one value; false stops the scan.
func (s *fcmScanner) value(as fcmObject, field string) bool {
	switch c := s.space(); {
	case c == '{':
		if as >= fcmToken {
			return s.wrong(field, "must be a text")
		}
		return s.object(as, field)
	case c == '"':
		text, ok := s.string()
		return ok && s.keep(as, field, text)
	case as != fcmAny:
		return s.wrong(field, "has the wrong type")
	case c == '[':
		return s.array()
	default:
		start := s.at
		for s.at < len(s.text) && !bytes.ContainsRune([]byte(" \n\r\t,]}"), rune(s.text[s.at])) {
			s.at++
		}
		return s.at > start && json.Valid(s.text[start:s.at])
	}
}

func (s *fcmScanner) wrong(field, why string) bool {
	s.no = &fcmError{400, "", field, "Invalid value at '" + field + "': " + why}
	return false
}

// keep takes a text at its place.
func (s *fcmScanner) keep(as fcmObject, field string, text []byte) bool {
	switch as {
	case fcmAny:
	case fcmToken:
		s.message.token = text
	case fcmTag:
		s.message.tag = append(s.message.tag[:0], text...)
	case fcmTarget:
	default:
		return s.wrong(field, "must be an object")
	}
	return true
}

func (s *fcmScanner) array() bool {
	s.at++
	if s.space() == ']' {
		s.at++
		return true
	}
	for {
		if !s.value(fcmAny, "") {
			return false
		}
		switch s.space() {
		case ',':
			s.at++
		case ']':
			s.at++
			return true
		default:
			return false
		}
	}
}

func (s *fcmScanner) object(as fcmObject, field string) bool {
	s.at++
	if s.space() == '}' {
		s.at++
		return true
	}
	for {
		if s.space() != '"' {
			return false
		}
		name, ok := s.string()
		if !ok || s.space() != ':' {
			return false
		}
		s.at++
		if !s.member(as, field, name) {
			return false
		}
		switch s.space() {
		case ',':
			s.at++
		case '}':
			s.at++
			return true
		default:
			return false
		}
	}
}

// member reads the value of one member of an object.
func (s *fcmScanner) member(as fcmObject, field string, name []byte) bool {
	child, path := fcmMember(as, name)
	switch child {
	case fcmNone:
		s.no = &fcmError{400, "", field, "Invalid JSON payload received. Unknown name \"" + string(name) + "\": Cannot find field."}
		return false
	case fcmToken, fcmTarget:
		s.targets++
	}
	s.space()
	start := s.at
	if as == fcmData && s.at < len(s.text) && s.text[s.at] != '"' {
		return s.wrong(field+"."+string(name), "data holds texts only")
	}
	if !s.value(child, path) {
		return false
	}
	switch {
	case child == fcmToken && len(s.message.token) == s.at-start-2: // nothing was escaped
		s.found = [2]int{start + 1, s.at - 1}
	case as == fcmData || as == fcmNotification || as == fcmAndroidNotification:
		s.size += len(name) + s.at - start
	}
	return true
}

// fcmMember says what a member of an object is. Both spellings of proto3 JSON
// are known.
func fcmMember(in fcmObject, name []byte) (fcmObject, string) {
	switch in {
	case fcmRoot:
		switch string(name) {
		case "message":
			return fcmTop, "message"
		case "validate_only", "validateOnly":
			return fcmAny, ""
		}
		return fcmNone, ""
	case fcmTop:
		switch string(name) {
		case "token":
			return fcmToken, "message.token"
		case "fid", "topic", "condition":
			return fcmTarget, "message." + string(name)
		case "notification":
			return fcmNotification, "message.notification"
		case "data":
			return fcmData, "message.data"
		case "android":
			return fcmAndroid, "message.android"
		case "name", "apns", "webpush", "fcm_options", "fcmOptions":
			return fcmAny, ""
		}
		return fcmNone, ""
	case fcmNotification:
		switch string(name) {
		case "title", "body", "image":
			return fcmAny, ""
		}
		return fcmNone, ""
	case fcmAndroid:
		return fcmAndroidMember(name)
	case fcmAndroidNotification:
		if string(name) == "tag" {
			return fcmTag, "message.android.notification.tag"
		}
	}
	return fcmAny, ""
}

func fcmAndroidMember(name []byte) (fcmObject, string) {
	switch string(name) {
	case "notification":
		return fcmAndroidNotification, "message.android.notification"
	case "data":
		return fcmData, "message.android.data"
	case "collapse_key", "collapseKey", "priority", "ttl", "restricted_package_name", "restrictedPackageName",
		"fcm_options", "fcmOptions", "direct_boot_ok", "directBootOk", "bandwidth_constrained_ok",
		"bandwidthConstrainedOk", "restricted_satellite_ok", "restrictedSatelliteOk":
		return fcmAny, ""
	}
	return fcmNone, ""
}

// string reads a text at a quote. Escapes are decoded into new memory.
func (s *fcmScanner) string() ([]byte, bool) {
	start := s.at + 1
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return s.text[start:i:i], true
		case c == '\\' || c >= utf8.RuneSelf:
			return s.escaped(start)
		case c < ' ':
			return nil, false
		}
	}
	return nil, false
}

func (s *fcmScanner) escaped(start int) ([]byte, bool) {
	for i := start; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			i++
		case '"':
			s.at = i + 1
			raw := s.text[start-1 : s.at]
			if !utf8.Valid(raw) {
				return nil, false
			}
			var text string
			if json.Unmarshal(raw, &text) != nil {
				return nil, false
			}
			return []byte(text), true
		}
	}
	return nil, false
}
