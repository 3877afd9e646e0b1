package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

const (
	saltLen    = 16
	headerLen  = saltLen + 4 + 1 + publicLen
	tagLen     = 16 // of AES-GCM
	recordSize = 4096
	// maxText is the plaintext that one record of 4,096 bytes holds beside its
	// header, the delimiter and the tag (RFC 8291 4).
	maxText = recordSize - headerLen - 1 - tagLen
)

// bodyLen is the length of the body that holds a text, 0 when none does.
func bodyLen(text []byte) int {
	if len(text) > maxText {
		return 0
	}
	return headerLen + len(text) + 1 + tagLen
}

// secret is what one message needs besides its text and its salt. It is used
// for one message and never again.
type secret struct {
	ikm    [32]byte // IKM of RFC 8291 3.4
	public [publicLen]byte
}

// sealer encrypts. It keeps its buffers and serves one goroutine at a time.
type sealer struct {
	inner [sha256.BlockSize + 145]byte
	outer [sha256.BlockSize + sha256.Size]byte
	nonce [sha256.Size]byte
	salts [256 * saltLen]byte
	fresh int // bytes of salts, from the front, that were not used
}

// salt returns 16 bytes that were never used; valid until the next call.
func (s *sealer) salt() []byte {
	if s.fresh == 0 {
		rand.Read(s.salts[:]) // never fails
		s.fresh = len(s.salts)
	}
	s.fresh -= saltLen
	return s.salts[s.fresh:][:saltLen]
}

// hmac is HMAC-SHA-256 (RFC 2104) of at most 145 bytes under a key of at most a
// block, without allocation.
func (s *sealer) hmac(key, data []byte) [sha256.Size]byte {
	for i := range sha256.BlockSize {
		s.inner[i], s.outer[i] = 0x36, 0x5c
	}
	for i, b := range key {
		s.inner[i] ^= b
		s.outer[i] ^= b
	}
	n := copy(s.inner[sha256.BlockSize:], data)
	sum := sha256.Sum256(s.inner[:sha256.BlockSize+n])
	copy(s.outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(s.outer[:])
}

// agree makes the secret of one message to a subscription with a key pair that
// nobody else uses (RFC 8291 3.1 to 3.4).
func (s *sealer) agree(own pair, public, auth []byte) (secret, error) {
	made := secret{public: own.public}
	peer, err := ecdh.P256().NewPublicKey(public)
	if err != nil {
		return made, fmt.Errorf("webpush: key of the subscription: %w", err)
	}
	shared, err := own.private.ECDH(peer)
	if err != nil {
		return made, fmt.Errorf("webpush: shared secret: %w", err)
	}
	var info [144 + 1]byte
	at := copy(info[:], "WebPush: info\x00")
	at += copy(info[at:], public)
	at += copy(info[at:], own.public[:])
	info[at] = 1
	prk := s.hmac(auth, shared)
	made.ikm = s.hmac(prk[:], info[:])
	return made, nil
}

var (
	keyInfo   = []byte("Content-Encoding: aes128gcm\x00\x01")
	nonceInfo = []byte("Content-Encoding: nonce\x00\x01")
)

// appendBody appends text as one record without padding (RFC 8188 2). A salt is
// used once.
func (s *sealer) appendBody(dst, text []byte, of *secret, salt []byte) ([]byte, error) {
	prk := s.hmac(salt, of.ikm[:])
	key := s.hmac(prk[:], keyInfo)
	s.nonce = s.hmac(prk[:], nonceInfo)
	block, err := aes.NewCipher(key[:16])
	if err != nil {
		return dst, fmt.Errorf("webpush: cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return dst, fmt.Errorf("webpush: cipher: %w", err)
	}
	dst = append(dst, salt...)
	dst = binary.BigEndian.AppendUint32(dst, recordSize)
	dst = append(append(dst, publicLen), of.public[:]...)
	at := len(dst)
	dst = append(append(dst, text...), 2) // the delimiter of the last record
	return gcm.Seal(dst[:at], s.nonce[:12], dst[at:], nil), nil
}
