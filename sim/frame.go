package sim

import (
	"encoding/binary"
	"fmt"
)

// Frame types and flags of RFC 9113 section 6.
const (
	frameData byte = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindowUpdate
	frameContinuation

	flagEndStream  = 0x1 // DATA, HEADERS
	flagAck        = 0x1 // SETTINGS, PING
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	frameHead   = 9
	maxFrame    = 16384 // we never raise SETTINGS_MAX_FRAME_SIZE
	firstWindow = 65535
	maxWindow   = 1<<31 - 1
	maxBlock    = 64 << 10 // of a header block with its continuations
	clientHello = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

	settingsTable     = 1
	settingsPush      = 2
	settingsStreams   = 3
	settingsWindow    = 4
	settingsFrameSize = 5
)

// code is an error code of RFC 9113 section 7. As an error it ends the connection.
type code uint32

const (
	codeNone code = iota
	codeProtocol
	codeInternal
	codeFlowControl
	codeSettingsTimeout
	codeStreamClosed
	codeFrameSize
	codeRefusedStream
	codeCancel
	codeCompression
)

func (c code) Error() string { return fmt.Sprintf("sim: HTTP/2 connection error %d", uint32(c)) }

func appendFrameHead(b []byte, length int, kind, flags byte, stream uint32) []byte {
	return append(b, byte(length>>16), byte(length>>8), byte(length), kind, flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendReset(b []byte, stream uint32, why code) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(b, 4, frameReset, 0, stream), uint32(why))
}

func appendWindowUpdate(b []byte, stream uint32, by int) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHead(b, 4, frameWindowUpdate, 0, stream), uint32(by))
}

func appendGoAway(b []byte, last uint32, why code, debug string) []byte {
	b = appendFrameHead(b, 8+len(debug), frameGoAway, 0, 0)
	b = binary.BigEndian.AppendUint32(b, last)
	b = binary.BigEndian.AppendUint32(b, uint32(why))
	return append(b, debug...)
}

func appendSettings(b []byte, pairs ...uint32) []byte {
	b = appendFrameHead(b, len(pairs)*3, frameSettings, 0, 0)
	for i := 0; i < len(pairs); i += 2 {
		b = binary.BigEndian.AppendUint16(b, uint16(pairs[i]))
		b = binary.BigEndian.AppendUint32(b, pairs[i+1])
	}
	return b
}

// appendStatus starts a header block. Nothing that we send is indexed, so the
// peer's table size never matters.
func appendStatus(b []byte, status int) []byte {
	switch status {
	case 200:
		return append(b, 0x88)
	case 400:
		return append(b, 0x8c)
	case 404:
		return append(b, 0x8d)
	case 500:
		return append(b, 0x8e)
	}
	return append(b, 0x08, 3, byte('0'+status/100), byte('0'+status/10%10), byte('0'+status%10))
}

// appendHeader adds a literal header; name and value are at most 126 bytes.
func appendHeader[T ~string | ~[]byte](b []byte, name string, value T) []byte {
	b = append(b, 0, byte(len(name)))
	b = append(b, name...)
	b = append(b, byte(len(value)))
	return append(b, value...)
}

// wholeFrame returns the length of the payload of the frame at the front of b,
// and whether all of it is there.
func wholeFrame(b []byte) (length int, whole bool) {
	if len(b) < frameHead {
		return 0, false
	}
	length = int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return length, len(b) >= frameHead+length
}

// unpad takes padding, and the priority of a HEADERS frame, off a payload.
func unpad(payload []byte, kind, flags byte, stream uint32) ([]byte, error) {
	pad := 0
	if flags&flagPadded != 0 {
		if len(payload) < 1 {
			return nil, codeFrameSize
		}
		pad, payload = int(payload[0]), payload[1:]
	}
	if kind == frameHeaders && flags&flagPriority != 0 {
		if len(payload) < 5 {
			return nil, codeFrameSize
		}
		if binary.BigEndian.Uint32(payload)&maxWindow == stream {
			return nil, codeProtocol
		}
		payload = payload[5:]
	}
	if pad > len(payload) {
		return nil, codeProtocol
	}
	return payload[:len(payload)-pad], nil
}
