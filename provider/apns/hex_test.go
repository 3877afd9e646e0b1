package apns

import (
	"encoding/hex"
	"testing"
)

func TestAppendHex(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i), byte(255-i), byte(i*7))
	}
	for n := range len(all) {
		src := all[n/2 : n]
		if got, want := string(appendHex([]byte("/3/"), src)), "/3/"+hex.EncodeToString(src); got != want {
			t.Fatalf("%x: %s, want %s", src, got, want)
		}
	}
}

func BenchmarkAppendHex(b *testing.B) {
	token, dst := make([]byte, 32), make([]byte, 0, 64)
	b.Run("ours", func(b *testing.B) {
		for b.Loop() {
			dst = appendHex(dst[:0], token)
		}
	})
	b.Run("encoding/hex", func(b *testing.B) {
		for b.Loop() {
			dst = hex.AppendEncode(dst[:0], token)
		}
	})
}
