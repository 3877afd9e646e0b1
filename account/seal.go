package account

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/provider"
)

// sealer seals credentials with AES-256-GCM. Nonces are random, which is safe
// for 2^32 of them under one key (NIST SP 800-38D section 8.3).
type sealer struct{ aead cipher.AEAD }

func newSealer(key []byte) sealer {
	block, err := aes.NewCipher(key)
	if err != nil { // the key file holds 32 bytes or is refused
		panic(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil { // an AES block is 16 bytes
		panic(err)
	}
	return sealer{aead}
}

// place is what a sealed credential is bound to.
func place(project tocsin.ProjectID, id tocsin.CredentialID, version uint64, p tocsin.Provider) []byte {
	bound := append([]byte("tocsin credential 1"), project[:]...)
	bound = append(bound, id[:]...)
	bound = binary.BigEndian.AppendUint64(bound, version)
	return append(bound, byte(p))
}

func (s sealer) close(c provider.Credential, clear []byte) []byte {
	return s.aead.Seal(nil, nil, clear, place(c.Project, c.ID, c.Version, c.Provider))
}

func (s sealer) open(c provider.Credential, sealed []byte) ([]byte, error) {
	clear, err := s.aead.Open(nil, nil, sealed, place(c.Project, c.ID, c.Version, c.Provider))
	if err != nil {
		return nil, fmt.Errorf("%w: it does not open", ErrDamaged)
	}
	return clear, nil
}
