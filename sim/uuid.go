package sim

import "encoding/binary"

// hexValue is the value of a hex digit, and 255 for every other byte.
var hexValue = makeHexValue()

func makeHexValue() (table [256]byte) {
	for i := range table {
		table[i] = 255
	}
	for i, c := range []byte("0123456789abcdef") {
		table[c] = byte(i)
	}
	for i, c := range []byte("ABCDEF") {
		table[c] = byte(i + 10)
	}
	return table
}

const (
	onesOf8 = 0x0101010101010101
	highOf8 = 0x8080808080808080
)

// within has the high bit of each byte of w set that lies between first and
// last; all are below 0x80. Adding 0x80-x to such a byte sets its high bit when
// it is at least x.
func within(w uint64, first, last byte) uint64 {
	return (w + onesOf8*(0x80-uint64(first))) &^ (w + onesOf8*(0x7f-uint64(last))) & highOf8
}

// isHex8 reports whether eight bytes are hex digits. Letters become small by a
// bit that digits have already.
func isHex8(w uint64) bool {
	return w&highOf8 == 0 && within(w, '0', '9')|within(w|onesOf8*0x20, 'a', 'f') == highOf8
}

// isHex reports whether every byte is a hex digit.
func isHex(text []byte) bool {
	for len(text) >= 8 {
		if !isHex8(binary.LittleEndian.Uint64(text)) {
			return false
		}
		text = text[8:]
	}
	for _, c := range text {
		if hexValue[c] > 15 {
			return false
		}
	}
	return true
}

// fromHex8 is the four bytes that eight hex digits stand for; the first digit is
// the lowest byte of w.
func fromHex8(w uint64) uint32 {
	w = w&(onesOf8*15) + w>>6&onesOf8*9 // a letter is 9 more than its low bits
	w = w<<4 | w>>8                     // every other byte is one of the four
	w &= 0x00ff00ff00ff00ff
	w |= w >> 8
	w &= 0x0000ffff0000ffff
	return uint32(w | w>>16)
}

// uuidGroups are the offsets of the 16 bytes in the form 8-4-4-4-12.
var uuidGroups = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

func parseUUID(text []byte, id *[16]byte) bool {
	if len(text) != 36 || text[8]&text[13]&text[18]&text[23] != '-' || text[8]|text[13]|text[18]|text[23] != '-' {
		return false
	}
	four := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(text[at:])) }
	a, b := binary.LittleEndian.Uint64(text), four(9)|four(14)<<32
	c, d := four(19)|four(24)<<32, binary.LittleEndian.Uint64(text[28:])
	binary.LittleEndian.PutUint32(id[:], fromHex8(a))
	binary.LittleEndian.PutUint32(id[4:], fromHex8(b))
	binary.LittleEndian.PutUint32(id[8:], fromHex8(c))
	binary.LittleEndian.PutUint32(id[12:], fromHex8(d))
	return isHex8(a) && isHex8(b) && isHex8(c) && isHex8(d)
}

const hexDigits = "0123456789abcdef"

func appendUUID(b []byte, id *[16]byte) []byte {
	var text [36]byte
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	for i, at := range uuidGroups {
		text[at], text[at+1] = hexDigits[id[i]>>4], hexDigits[id[i]&15]
	}
	return append(b, text[:]...)
}

// apnsIDName starts the literal header apns-id with a value of 36 bytes.
const apnsIDName = "\x00\x07apns-id\x24"

// appendAPNsID adds the literal header apns-id.
func appendAPNsID(b []byte, id *[16]byte) []byte {
	return appendUUID(append(b, apnsIDName...), id)
}

// madeID is the apns-id of a push that came without one.
func madeID(seed, token, send uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], mix(seed^token))
	binary.BigEndian.PutUint64(id[8:], mix(token^mix(send)))
	return id
}
