package client

import (
	"time"

	"github.com/tocsin-push/tocsin"
)

// Subscription is one reachable address of a profile. As a request it
// registers the address, or changes what is set of one that is known; fields
// that are absent stay as they are.
type Subscription struct {
	ID         tocsin.SubscriptionID `json:"id,omitzero" doc:"When absent it is that of this person's subscription with the address, or follows from user, provider and address, so that a repeated request changes nothing"`
	User       string                `json:"user,omitempty" maxLength:"256" doc:"Your identifier of the person; absent for an anonymous one"`
	Provider   tocsin.Provider       `json:"provider,omitzero"`
	Token      string                `json:"token,omitempty" maxLength:"4096" doc:"APNs: device token in hexadecimal. FCM: registration token"`
	Endpoint   string                `json:"endpoint,omitempty" maxLength:"2048" doc:"Web Push: URL of the subscription"`
	P256DH     string                `json:"p256dh,omitempty" maxLength:"100" doc:"Web Push: public key of the browser, base64url"`
	Auth       string                `json:"auth,omitempty" maxLength:"40" doc:"Web Push: authentication secret, base64url"`
	Topic      string                `json:"topic,omitempty" maxLength:"256" doc:"APNs: bundle identifier; the credential's first when absent"`
	Platform   string                `json:"platform,omitempty" enum:"ios,android,web,macos,tvos,watchos,visionos,windows,linux" doc:"What the install runs on; when absent ios with apns, android with fcm, web with webpush"`
	Language   string                `json:"language,omitempty" maxLength:"35" doc:"BCP 47 tag, such as fr or fr-CA"`
	Zone       string                `json:"zone,omitempty" maxLength:"64" doc:"IANA time zone, such as Europe/Paris"`
	Region     string                `json:"region,omitempty" maxLength:"128" doc:"Any text, such as FR-IDF"`
	City       string                `json:"city,omitempty" maxLength:"128" doc:"Any text"`
	AppVersion string                `json:"app_version,omitempty" maxLength:"128" doc:"Of the app, such as 4.10.2"`
	Active     time.Time             `json:"active,omitzero" doc:"When the person was last seen"`
	OptedIn    *bool                 `json:"opted_in,omitempty" doc:"Whether pushes may be sent; when absent, a new one is as the address was before, and true for a new address"`
	Attributes map[string]Value      `json:"attributes,omitempty" doc:"At most 100; null removes one"`
	Tags       map[string]Tags       `json:"tags,omitempty" doc:"Sets of tags by name; a list replaces the set"`
}

// Batch registers or changes many subscriptions in one request.
type Batch struct {
	Subscriptions []Subscription `json:"subscriptions" minItems:"1" maxItems:"10000"`
}

// BatchResult says what became of each: the good ones are durable, whatever
// the bad ones are.
type BatchResult struct {
	Accepted int                     `json:"accepted"`
	IDs      []tocsin.SubscriptionID `json:"ids" doc:"One for each subscription, in order; empty text for a bad one"`
	Errors   []BatchError            `json:"errors,omitempty"`
}

// BatchError is a subscription that was not taken.
type BatchError struct {
	Index  int    `json:"index" doc:"Place in the request, from 0"`
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
}

// Registered names the subscription that was registered or changed.
type Registered struct {
	ID      tocsin.SubscriptionID `json:"id"`
	Ignored []string              `json:"ignored,omitempty" doc:"Device API: attributes and sets of tags that were left out: their names are not in use, which the server API brings, or a value is of another type, and why"`
}

// ProfileUpdate changes what is known of a person, whatever the device.
type ProfileUpdate struct {
	Attributes map[string]Value `json:"attributes,omitempty"`
	Tags       map[string]Tags  `json:"tags,omitempty"`
}

// Device is the answer to an app or site that registers: what it must keep.
type Device struct {
	ID     tocsin.SubscriptionID `json:"id"`
	Secret string                `json:"secret,omitempty" doc:"Proves later that the caller is this install; shown once"`

	Ignored []string `json:"ignored,omitempty" doc:"Attributes and sets of tags that were left out: their names are not in use, which the server API brings, or a value is of another type, and why"`
}

// OptIn sets whether pushes may be sent to a device.
type OptIn struct {
	OptedIn bool `json:"opted_in"`
}

// Identity says who a subscription belongs to.
type Identity struct {
	User string `json:"user" minLength:"1" maxLength:"256" doc:"Your identifier of the person"`
}

// Known is all that is known of a subscription, but for its address.
type Known struct {
	ID         tocsin.SubscriptionID `json:"id"`
	User       string                `json:"user,omitempty"`
	Provider   tocsin.Provider       `json:"provider"`
	Topic      string                `json:"topic,omitempty"`
	Platform   string                `json:"platform"`
	Language   string                `json:"language,omitempty"`
	Zone       string                `json:"zone,omitempty"`
	Region     string                `json:"region,omitempty"`
	City       string                `json:"city,omitempty"`
	AppVersion string                `json:"app_version,omitempty"`
	Active     time.Time             `json:"active,omitzero"`
	OptedIn    bool                  `json:"opted_in"`
	Attributes map[string]Value      `json:"attributes,omitempty"`
	Tags       map[string][]string   `json:"tags,omitempty"`
}
