package sim

import (
	"strings"
	"testing"
)

func TestCharacters(t *testing.T) {
	for at := range 8 {
		for c := range 256 {
			text := []byte("0aF90bC1")
			text[at] = byte(c)
			if want := hexValue[c] <= 15; isHex(text) != want {
				t.Fatalf("byte %#x at %d: want %v", c, at, want)
			}
			inToken := strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_:", byte(c)) >= 0
			for _, token := range []string{string(text), string(text[at : at+1]), string(text) + "gHij-kL_", "gHij-kL_" + string(text[:at+1])} {
				if isFCMToken([]byte(token)) != inToken {
					t.Fatalf("registration token %q: want %v", token, inToken)
				}
			}
		}
	}
}

func TestUUID(t *testing.T) {
	const text = "6c0dd2ca-5a03-4f3a-9dd4-c3a4a2b6f001"
	var id [16]byte
	if !parseUUID([]byte(text), &id) || string(appendUUID(nil, &id)) != text {
		t.Fatalf("%x", id)
	}
	for _, wrong := range []string{"", text[1:], "6c0dd2ca05a03-4f3a-9dd4-c3a4a2b6f001", "6c0dd2cg-5a03-4f3a-9dd4-c3a4a2b6f001"} {
		if parseUUID([]byte(wrong), &id) {
			t.Errorf("%q was taken", wrong)
		}
	}
}
