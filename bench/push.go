package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// What every run pushes: about 200 bytes of JSON to 64 hexadecimal digits.
const (
	pushTitle = "Polls close in one hour"
	pushBody  = "Turnout is the highest in twenty years. First projections follow at eight, results by region during the night. Read on."
)

var peerPayload = []byte(`{"aps":{"alert":{"title":"` + pushTitle + `","body":"` + pushBody + `"},"sound":"default"}}`)

// deviceToken is the address of the n-th device.
func deviceToken(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "device %d", n))
	return hex.EncodeToString(sum[:])
}

// push is one of the peer's.
type push struct{ device, id string }

// newPush is the n-th, with a UUID of version 4 for its apns-id.
func newPush(n int) push {
	sum := sha256.Sum256(fmt.Appendf(nil, "push %d", n))
	sum[6], sum[8] = sum[6]&0x0f|0x40, sum[8]&0x3f|0x80
	return push{deviceToken(n), fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])}
}
