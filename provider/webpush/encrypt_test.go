package webpush

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"testing"

	"github.com/tocsin-push/tocsin/sim"
)

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of RFC 8291 section 5 and appendix A.
func TestEncryptionVector(t *testing.T) {
	private, err := ecdh.P256().NewPrivateKey(unbase64(t, "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
	if err != nil {
		t.Fatal(err)
	}
	own := pair{private, [publicLen]byte(private.PublicKey().Bytes())}
	s := new(sealer)
	of, err := s.agree(own, unbase64(t, "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
		unbase64(t, "BTBZMqHH6r4Tts7J_aSIgg"))
	if err != nil {
		t.Fatal(err)
	}
	if base64.RawURLEncoding.EncodeToString(of.ikm[:]) != "S4lYMb_L0FxCeq0WhDx813KgSYqU26kOyzWUdsXYyrg" {
		t.Error("IKM differs")
	}
	text := []byte("When I grow up, I want to be a watermelon")
	got, err := s.appendBody([]byte("before"), text, &of, unbase64(t, "DGv6ra1nlYgDCS1FRnbzlw"))
	if err != nil {
		t.Fatal(err)
	}
	want := "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
	if body := base64.RawURLEncoding.EncodeToString(got[len("before"):]); body != want {
		t.Errorf("body\n%s, want\n%s", body, want)
	}
	if len(got) != len("before")+bodyLen(text) {
		t.Errorf("%d bytes, expected %d", len(got)-len("before"), bodyLen(text))
	}
}

// Our HMAC is that of crypto/hmac, and the steps that it takes are HKDF.
func TestKeyDerivation(t *testing.T) {
	s := new(sealer)
	for n := range 145 + 1 {
		key, data := make([]byte, n%65), make([]byte, n)
		rand.Read(key)
		rand.Read(data)
		h := hmac.New(sha256.New, key)
		h.Write(data)
		if got := s.hmac(key, data); !bytes.Equal(got[:], h.Sum(nil)) {
			t.Fatalf("HMAC of %d bytes under %d differs", n, len(key))
		}
	}
	ikm, salt := make([]byte, 32), make([]byte, saltLen)
	rand.Read(ikm)
	rand.Read(salt)
	prk := s.hmac(salt, ikm)
	for info, n := range map[string]int{"Content-Encoding: aes128gcm\x00": 16, "Content-Encoding: nonce\x00": 12} {
		want, err := hkdf.Key(sha256.New, ikm, salt, info, n)
		if got := s.hmac(prk[:], append([]byte(info), 1)); err != nil || !bytes.Equal(got[:n], want) {
			t.Errorf("%q: %x, want %x, %v", info, got[:n], want, err)
		}
	}
}

// A browser opens what we seal, whatever its length.
func TestRoundTrip(t *testing.T) {
	browser, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	keys := sim.BrowserKeys{Private: browser}
	rand.Read(keys.Auth[:])
	s := new(sealer)
	for _, n := range []int{0, 1, 15, 16, 17, 200, 1000, maxText} {
		own, err := newPair()
		if err != nil {
			t.Fatal(err)
		}
		of, err := s.agree(own, browser.PublicKey().Bytes(), keys.Auth[:])
		if err != nil {
			t.Fatal(err)
		}
		text := make([]byte, n)
		rand.Read(text)
		body, err := s.appendBody(nil, text, &of, s.salt())
		if err != nil || len(body) != bodyLen(text) || len(body) > 4096 {
			t.Fatalf("%d bytes of text: %d of body, %v", n, len(body), err)
		}
		if got, err := keys.Decrypt(body); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%d bytes of text: %v", n, err)
		}
		body[len(body)-1] ^= 1
		if _, err := keys.Decrypt(body); err == nil {
			t.Errorf("%d bytes of text: a changed body opens", n)
		}
	}
}

// With a secret in hand a message allocates what the standard library does for
// its cipher, and nothing more.
func TestAllocations(t *testing.T) {
	s, of, text := new(sealer), new(secret), make([]byte, 200)
	dst := make([]byte, 0, bodyLen(text))
	if n := testing.AllocsPerRun(100, func() { s.appendBody(dst, text, of, s.salt()) }); n > 2 {
		t.Errorf("%v allocations a message", n)
	}
}

func BenchmarkBody(b *testing.B) {
	s, of, text := new(sealer), new(secret), make([]byte, 200)
	dst := make([]byte, 0, bodyLen(text))
	b.ReportAllocs()
	for b.Loop() {
		s.appendBody(dst, text, of, s.salt())
	}
}

func BenchmarkSecret(b *testing.B) {
	browser, err := newPair()
	if err != nil {
		b.Fatal(err)
	}
	s := new(sealer)
	for b.Loop() {
		own, _ := newPair()
		s.agree(own, browser.public[:], make([]byte, authLen))
	}
}
