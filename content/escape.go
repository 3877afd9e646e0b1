package content

import "unicode/utf8"

// plain holds the ASCII bytes that stand for themselves in a JSON string.
var plain = func() (set [utf8.RuneSelf]bool) {
	for b := byte(' '); b < utf8.RuneSelf; b++ {
		set[b] = b != '"' && b != '\\'
	}
	return set
}()

// appendEscaped appends a text as the inside of a JSON string (RFC 8259
// section 7). Bytes that are not UTF-8 become U+FFFD each. What it appends is
// never shorter than the text.
func appendEscaped(dst []byte, text string) []byte {
	const hex = "0123456789abcdef"
	from := 0
	for i := 0; i < len(text); {
		b := text[i]
		if b < utf8.RuneSelf {
			if plain[b] {
				i++
				continue
			}
			dst = append(dst, text[from:i]...)
			switch b {
			case '"', '\\':
				dst = append(dst, '\\', b)
			case '\n':
				dst = append(dst, '\\', 'n')
			case '\r':
				dst = append(dst, '\\', 'r')
			case '\t':
				dst = append(dst, '\\', 't')
			default:
				dst = append(dst, '\\', 'u', '0', '0', hex[b>>4], hex[b&15])
			}
			i++
			from = i
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, text[from:i]...)
			dst = append(dst, "\uFFFD"...)
			from = i + 1
		}
		i += size
	}
	return append(dst, text[from:]...)
}
