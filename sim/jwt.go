package sim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
)

// jwt is a JSON Web Token that was parsed and not yet verified, RFC 7519.
type jwt struct {
	Header struct {
		Algorithm string `json:"alg"`
		Type      string `json:"typ"`
		Key       string `json:"kid"`
	}
	Claims struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		Audience string `json:"aud"`
		Scope    string `json:"scope"`
		Issued   int64  `json:"iat"`
		Expires  int64  `json:"exp"`
	}
	signed    []byte
	signature []byte
}

var errJWT = errors.New("sim: not a JSON Web Token")

func parseJWT(text []byte) (*jwt, error) {
	parts := bytes.Split(text, []byte("."))
	if len(parts) != 3 {
		return nil, errJWT
	}
	var t jwt
	for i, into := range []any{&t.Header, &t.Claims} {
		raw, err := base64.RawURLEncoding.DecodeString(string(parts[i]))
		if err != nil {
			return nil, errJWT
		}
		if err := json.Unmarshal(raw, into); err != nil {
			return nil, errJWT
		}
	}
	var err error
	if t.signature, err = base64.RawURLEncoding.DecodeString(string(parts[2])); err != nil {
		return nil, errJWT
	}
	t.signed = text[:len(parts[0])+1+len(parts[1])]
	return &t, nil
}

// byES256 verifies a raw R || S signature, RFC 7518 3.4.
func (t *jwt) byES256(key *ecdsa.PublicKey) bool {
	if t.Header.Algorithm != "ES256" || len(t.signature) != 64 {
		return false
	}
	sum := sha256.Sum256(t.signed)
	r, s := new(big.Int).SetBytes(t.signature[:32]), new(big.Int).SetBytes(t.signature[32:])
	return ecdsa.Verify(key, sum[:], r, s)
}

func (t *jwt) byRS256(key *rsa.PublicKey) bool {
	if t.Header.Algorithm != "RS256" {
		return false
	}
	sum := sha256.Sum256(t.signed)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) == nil
}
