package record

import (
	"bytes"
	"slices"
)

// Names reports whether a recipient is the person that is erased.
func (x *Erase) Names(r *Recipient) bool {
	if r.Profile != "" && r.Profile == x.Profile {
		return true
	}
	return slices.ContainsFunc(x.Subscriptions, func(id []byte) bool { return bytes.Equal(id, r.Subscription) })
}
