package account

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// A token is a prefix, 160 random bits as 32 characters of lower-case
// Crockford base32, and the CRC-32 (IEEE) of all that as 7 characters more. A
// scanner finds one by Pattern and knows it by its checksum, without asking anyone.
const (
	serverPrefix  = "tcs_" // API key
	devicePrefix  = "tcd_" // device key, public: apps and sites carry it
	installPrefix = "tci_" // secret of one install
)

// Pattern is a regular expression that finds tokens in a text.
const Pattern = `tc[sdi]_[0-9a-hjkmnp-tv-z]{39}`

const (
	randomBytes = 20
	tokenLength = 4 + 32 + 7
)

func alphabet() *base32.Encoding {
	return base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
}

// Secret is a text that no log, format verb or JSON shows.
type Secret struct{ text string }

// Reveal returns the text.
func (s Secret) Reveal() string { return s.text }

// Format keeps every verb of fmt from the text.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, "[secret]") }

// MarshalText keeps JSON and logs from the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

func (s Secret) hash() [32]byte { return sha256.Sum256([]byte(s.text)) }

func mint(prefix string) Secret {
	random := make([]byte, randomBytes)
	rand.Read(random) // never fails
	body := prefix + alphabet().EncodeToString(random)
	return Secret{body + checksum(body)}
}

func checksum(body string) string {
	return alphabet().EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body))))
}

func hasForm(text string, prefixes ...string) bool {
	if len(text) != tokenLength || text[tokenLength-7:] != checksum(text[:tokenLength-7]) {
		return false
	}
	for _, prefix := range prefixes {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

// MintInstallSecret makes the secret that an install shows to change its own
// subscription, and the hash to keep in its place.
func MintInstallSecret() (Secret, []byte) {
	secret := mint(installPrefix)
	hash := secret.hash()
	return secret, hash[:]
}

// VerifyInstallSecret reports whether a text is the secret of a kept hash, in
// constant time. No text is the secret of an empty hash.
func VerifyInstallSecret(text string, hash []byte) bool {
	if !hasForm(text, installPrefix) {
		return false
	}
	have := Secret{text}.hash()
	return subtle.ConstantTimeCompare(have[:], hash) == 1
}
