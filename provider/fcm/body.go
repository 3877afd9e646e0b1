package fcm

import (
	"encoding/binary"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// pushes writes the requests of one batch.
type pushes struct {
	lane   *lane
	batch  *provider.Batch
	access *access
}

func (p *pushes) AppendPath(dst []byte, _ int) []byte   { return dst }
func (p *pushes) AppendUnique(dst []byte, _ int) []byte { return dst }

// maxToken bounds a registration token; they have about 160 characters.
const maxToken = 4096

// AppendBody puts the token before the payload, which is the inside of the
// object "message". A token with a character that JSON would escape is none.
func (p *pushes) AppendBody(dst []byte, i int) ([]byte, tocsin.Reason) {
	token, payload := p.batch.Addresses[i], p.batch.Payloads[i]
	if len(token) == 0 || len(token) > maxToken || !plain(token) {
		return dst, tocsin.ReasonToken
	}
	dst = append(append(dst, `{"message":{"token":"`...), token...)
	if len(payload) > 0 {
		return append(append(append(dst, `",`...), payload...), "}}"...), 0
	}
	return append(dst, `"}}`...), 0
}

// plain reports whether text is of visible ASCII without quotes and backslashes.
func plain(text []byte) bool {
	var odd uint64
	for ; len(text) >= 8; text = text[8:] {
		odd |= odd8(binary.LittleEndian.Uint64(text))
	}
	if len(text) > 0 {
		tail := [8]byte{'.', '.', '.', '.', '.', '.', '.', '.'}
		copy(tail[:], text)
		odd |= odd8(binary.LittleEndian.Uint64(tail[:]))
	}
	return odd&highOf8 == 0
}

const (
	onesOf8 = 0x0101010101010101
	highOf8 = 0x80 * onesOf8
)

// odd8 has the high bit of some byte set when any of eight bytes is not plain,
// and no high bit otherwise. Subtracting x sets that of a byte below x; what is
// borrowed reaches other bytes only then.
func odd8(w uint64) uint64 {
	quote, backslash := w^onesOf8*'"', w^onesOf8*'\\'
	return w | (w + onesOf8) | // beyond '~'
		(w-onesOf8*'!')&^w | (quote-onesOf8)&^quote | (backslash-onesOf8)&^backslash
}

func (p *pushes) Judge(_ int, a *bulk.Answer) bulk.Verdict {
	v, renew := judge(a.Status, a.Body)
	if renew {
		v.Halt = true
		if p.lane.rejected(p.access) {
			v.Result, v.Detail.RetryAfter = provider.Later, soon
		}
	}
	if v.Result == provider.Later {
		if a.RetryAfter > 0 {
			v.Detail.RetryAfter = a.RetryAfter
		} else if v.Detail.Reason == tocsin.ReasonThrottled {
			v.Detail.RetryAfter = p.lane.cfg.Throttled
		}
	}
	return v
}
