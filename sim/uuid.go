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

// isHex reports whether every byte is a hex digit. It looks at eight at once:
// adding 0x80-x to a byte below 0x80 sets its high bit when it is at least x.
func isHex(text []byte) bool {
	const ones, high = 0x0101010101010101, 0x8080808080808080
	for len(text) >= 8 {
		w := binary.LittleEndian.Uint64(text)
		lower := w | ones*0x20 // letters become small; digits stay as they are
		digit := (w + ones*(0x80-'0')) &^ (w + ones*(0x80-'9'-1))
		letter := (lower + ones*(0x80-'a')) &^ (lower + ones*(0x80-'f'-1))
		if w&high != 0 || (digit|letter)&high != high {
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

// uuidGroups are the offsets of the 16 bytes in the form 8-4-4-4-12.
var uuidGroups = [16]int{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34}

func parseUUID(text []byte, id *[16]byte) bool {
	if len(text) != 36 || text[8]&text[13]&text[18]&text[23] != '-' || text[8]|text[13]|text[18]|text[23] != '-' {
		return false
	}
	bad := byte(0)
	for i, at := range uuidGroups {
		high, low := hexValue[text[at]], hexValue[text[at+1]]
		bad |= high | low
		id[i] = high<<4 | low
	}
	return bad <= 15
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
