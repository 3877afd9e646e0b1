package provider

import (
	"fmt"
	"io"

	"github.com/tocsin-push/tocsin"
)

// Whatever prints a credential or a part of it, with any verb, as JSON or into
// a log, gets its name alone.

// String names the credential, without its secrets.
func (c Credential) String() string {
	return c.Provider.String() + " credential " + c.ID.String()
}

// Format keeps every verb of fmt to what String says.
func (c Credential) Format(f fmt.State, _ rune) { io.WriteString(f, c.String()) }

// MarshalText keeps JSON and logs to what String says.
func (c Credential) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func (APNs) Format(f fmt.State, _ rune)    { writeKind(f, tocsin.APNs) }
func (FCM) Format(f fmt.State, _ rune)     { writeKind(f, tocsin.FCM) }
func (WebPush) Format(f fmt.State, _ rune) { writeKind(f, tocsin.WebPush) }

func (APNs) MarshalText() ([]byte, error)    { return kindText(tocsin.APNs), nil }
func (FCM) MarshalText() ([]byte, error)     { return kindText(tocsin.FCM), nil }
func (WebPush) MarshalText() ([]byte, error) { return kindText(tocsin.WebPush), nil }

func writeKind(f fmt.State, p tocsin.Provider) { f.Write(kindText(p)) }
func kindText(p tocsin.Provider) []byte        { return []byte(p.String() + " credential") }
