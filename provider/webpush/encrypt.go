package webpush

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"
)

const (
	saltLen    = 16
	headerLen  = saltLen + 4 + 1 + publicLen
	recordSize = 4096
	// maxText is the plaintext that one record of 4,096 bytes holds beside its
	// header, the delimiter and the tag (RFC 8291 4).
	maxText = 4096 - headerLen - 1 - 16
)

// pair is a key pair for one message.
type pair struct {
	private *ecdh.PrivateKey
	public  []byte
}

func newPair() (pair, error) {
	private, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return pair{}, fmt.Errorf("webpush: new key pair: %w", err)
	}
	return pair{private, private.PublicKey().Bytes()}, nil
}

// pairs keeps key pairs that were made while there was time. Each is used once.
type pairs struct {
	mu      sync.Mutex
	ready   []pair
	most    int
	filling bool
}

// take returns a pair that nobody else gets, and has more made when few are left.
func (p *pairs) take() (pair, error) {
	p.mu.Lock()
	if len(p.ready) <= p.most/2 && !p.filling {
		p.filling = true
		go p.fill()
	}
	if n := len(p.ready); n > 0 {
		got := p.ready[n-1]
		p.ready[n-1] = pair{}
		p.ready = p.ready[:n-1]
		p.mu.Unlock()
		return got, nil
	}
	p.mu.Unlock()
	return newPair()
}

func (p *pairs) fill() {
	for {
		made, err := newPair()
		p.mu.Lock()
		if err != nil || len(p.ready) >= p.most {
			p.filling = false
			p.mu.Unlock()
			return
		}
		p.ready = append(p.ready, made)
		p.mu.Unlock()
	}
}

// appendEncrypted appends text encrypted for a subscription (RFC 8291 3.4, RFC
// 8188 2), as one record without padding.
func appendEncrypted(dst, text []byte, s subscription, own pair, salt []byte) ([]byte, error) {
	peer, err := ecdh.P256().NewPublicKey(s.public)
	if err != nil {
		return dst, fmt.Errorf("webpush: key of the subscription: %w", err)
	}
	secret, err := own.private.ECDH(peer)
	if err != nil {
		return dst, fmt.Errorf("webpush: shared secret: %w", err)
	}
	ikm := keyingMaterial(secret, s, own.public)
	dst = append(dst, salt...)
	dst = binary.BigEndian.AppendUint32(dst, recordSize)
	dst = append(append(dst, publicLen), own.public...)
	return seal(dst, text, ikm, salt)
}

// keyingMaterial is IKM of RFC 8291 3.4.
func keyingMaterial(secret []byte, s subscription, public []byte) []byte {
	info := make([]byte, 0, 160)
	info = append(info, "WebPush: info\x00"...)
	info = append(append(info, s.public...), public...)
	return digest(digest(s.auth, secret), append(info, 1))
}

// seal appends the record (RFC 8188 2.1 to 2.3).
func seal(dst, text, ikm, salt []byte) ([]byte, error) {
	prk := digest(salt, ikm)
	key := digest(prk, []byte("Content-Encoding: aes128gcm\x00\x01"))[:16]
	nonce := digest(prk, []byte("Content-Encoding: nonce\x00\x01"))[:12]
	block, err := aes.NewCipher(key)
	if err != nil {
		return dst, fmt.Errorf("webpush: cipher: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return dst, fmt.Errorf("webpush: cipher: %w", err)
	}
	at := len(dst)
	dst = append(append(dst, text...), 2) // the delimiter of the last record
	return gcm.Seal(dst[:at], nonce, dst[at:], nil), nil
}

func digest(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}
