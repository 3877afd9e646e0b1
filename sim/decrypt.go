package sim

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

var (
	errBody    = errors.New("body is not one record of aes128gcm with a P-256 key")
	errOwnKey  = errors.New("the message key is the VAPID key")
	errDecrypt = errors.New("body cannot be decrypted")
)

const bodyHead = 16 + 4 + 1 + 65 // salt, record size, length of key id, key id

// BrowserKeys are what a browser keeps of a subscription.
type BrowserKeys struct {
	Private *ecdh.PrivateKey // P-256
	Auth    [16]byte
}

// NewBrowserKeys derives the keys of a population's subscription from the seed
// and the id in its endpoint.
func NewBrowserKeys(seed uint64, id [16]byte) BrowserKeys {
	secret := func(label string) [32]byte {
		b := binary.BigEndian.AppendUint64([]byte("tocsin simulated browser "+label), seed)
		return sha256.Sum256(append(b, id[:]...))
	}
	var keys BrowserKeys
	scalar, auth := secret("key"), secret("auth")
	scalar[0] &= 0x7f // below the order of P-256
	private, err := ecdh.P256().NewPrivateKey(scalar[:])
	if err != nil {
		panic("sim: a hash of SHA-256 is zero: " + err.Error())
	}
	keys.Private = private
	copy(keys.Auth[:], auth[:])
	return keys
}

// senderKey returns the public key in the head of a body, RFC 8188 2.1.
func senderKey(body []byte) ([]byte, error) {
	if len(body) < bodyHead+17 || body[20] != 65 {
		return nil, errBody
	}
	size := binary.BigEndian.Uint32(body[16:])
	if size < 18 || uint64(len(body)-bodyHead) > uint64(size) {
		return nil, errBody // more than one record, RFC 8291 4
	}
	return body[21:bodyHead], nil
}

// Decrypt opens a body as the browser does, RFC 8291 and RFC 8188.
func (k BrowserKeys) Decrypt(body []byte) ([]byte, error) {
	sender, err := senderKey(body)
	if err != nil {
		return nil, err
	}
	public, err := ecdh.P256().NewPublicKey(sender)
	if err != nil {
		return nil, errBody
	}
	shared, err := k.Private.ECDH(public)
	if err != nil {
		return nil, errBody
	}
	info := "WebPush: info\x00" + string(k.Private.PublicKey().Bytes()) + string(sender)
	material, err1 := hkdf.Key(sha256.New, shared, k.Auth[:], info, 32)
	key, err2 := hkdf.Key(sha256.New, material, body[:16], "Content-Encoding: aes128gcm\x00", 16)
	nonce, err3 := hkdf.Key(sha256.New, material, body[:16], "Content-Encoding: nonce\x00", 12)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	text, err := gcm.Open(nil, nonce, body[bodyHead:], nil)
	if err != nil {
		return nil, errDecrypt
	}
	// The last record ends in 2 and zeros of padding, RFC 8188 2.
	for i := len(text) - 1; i >= 0; i-- {
		if text[i] == 2 {
			return text[:i], nil
		}
		if text[i] != 0 {
			break
		}
	}
	return nil, errDecrypt
}
