package fcm

import (
	"bytes"
	"testing"
)

// Every byte at every place of texts of every length of tail is judged as one
// look at each byte would.
func TestPlain(t *testing.T) {
	for length := range 20 {
		text := bytes.Repeat([]byte{'~'}, length)
		if !plain(text) {
			t.Errorf("%d times '~' is not plain", length)
		}
		for at := range text {
			for c := range 256 {
				text[at] = byte(c)
				want := c > ' ' && c < 0x7f && c != '"' && c != '\\'
				if plain(text) != want {
					t.Fatalf("byte %#x at %d of %d: plain is %v", c, at, length, !want)
				}
			}
			text[at] = '!'
		}
	}
}
