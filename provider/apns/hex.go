package apns

import (
	"encoding/binary"
	"encoding/hex"
)

// appendHex is hex.AppendEncode, eight digits at a time: a device token is
// written in each push.
func appendHex(dst, src []byte) []byte {
	for ; len(src) >= 4; src = src[4:] {
		// One half byte in each of eight bytes.
		x := uint64(binary.BigEndian.Uint32(src))
		x = (x<<16 | x) & 0x0000ffff0000ffff
		x = (x<<8 | x) & 0x00ff00ff00ff00ff
		x = (x<<4 | x) & 0x0f0f0f0f0f0f0f0f
		letters := (x + 0x0606060606060606) >> 4 & 0x0101010101010101 // 1 where it is above 9
		dst = binary.BigEndian.AppendUint64(dst, x+0x3030303030303030+letters*('a'-'0'-10))
	}
	return hex.AppendEncode(dst, src)
}
