package bulk

import "encoding/binary"

// Frame types and flags of RFC 9113 section 6.
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameSettings     = 0x4
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	settingTableSize     = 0x1
	settingEnablePush    = 0x2
	settingStreams       = 0x3
	settingInitialWindow = 0x4
	settingFrameSize     = 0x5
)

const (
	frameHeader   = 9       // bytes before every payload
	maxFrame      = 1 << 14 // largest frame that we accept, and that a peer must accept
	initialWindow = 1<<16 - 1
	maxWindow     = 1<<31 - 1
	maxStream     = 1<<31 - 1
	wornStream    = maxStream - 1<<26 // from here on another connection is opened in time
)

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// code is an error code of RFC 9113 section 7.
type code uint32

const (
	codeNone        code = 0x0
	codeProtocol    code = 0x1
	codeFlowControl code = 0x3
	codeFrameSize   code = 0x6
	codeRefused     code = 0x7
	codeCancel      code = 0x8
	codeCompression code = 0x9
	codeCalm        code = 0xb
)

func appendFrame(dst []byte, length int, kind, flags byte, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// patchLength writes the length of the payload that follows a frame header.
func patchLength(frame []byte, length int) {
	frame[0], frame[1], frame[2] = byte(length>>16), byte(length>>8), byte(length)
}

func appendWindowUpdate(dst []byte, stream, increment uint32) []byte {
	dst = appendFrame(dst, 4, frameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(dst, increment)
}

func appendReset(dst []byte, stream uint32, why code) []byte {
	dst = appendFrame(dst, 4, frameReset, 0, stream)
	return binary.BigEndian.AppendUint32(dst, uint32(why))
}

func appendGoAway(dst []byte, why code) []byte {
	dst = appendFrame(dst, 8, frameGoAway, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return binary.BigEndian.AppendUint32(dst, uint32(why))
}

// appendHello appends what a client opens a connection with: the preface, its
// settings and a larger window for the whole connection.
func appendHello(dst []byte) []byte {
	dst = append(dst, preface...)
	dst = appendFrame(dst, 6, frameSettings, 0, 0)
	dst = binary.BigEndian.AppendUint16(dst, settingEnablePush)
	dst = binary.BigEndian.AppendUint32(dst, 0)
	return appendWindowUpdate(dst, 0, receiveWindow-initialWindow)
}

// receiveWindow is what the peer may send before we give it more; bodies of
// answers are short, so that this holds thousands of them.
const receiveWindow = 1 << 20
