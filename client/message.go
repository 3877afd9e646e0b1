package client

import (
	"encoding/json"

	"github.com/tocsin-push/tocsin"
)

// Target says who gets a message: a query over the audience, or an explicit
// list of at most 10,000 recipients. Exactly one is given.
type Target struct {
	Query      json.RawMessage `json:"query,omitempty" doc:"Query over attributes, tags and native fields, such as {\"country\":\"FR\",\"tags\":{\"$contains\":[\"politics\"]},\"last_active\":{\"$gte\":\"now-30d\"}}; {} is everybody. Logic: $and, $or, $not. Operators on a name: $eq $ne $in $nin, $gt $gte $lt $lte $between, $startsWith, $version, $near, $contains $containsAll $containsAny, $exists. Native fields: provider, platform, language, zone, region, city, app_version, opted_in, has_profile, created, last_active. A clause on a name without a value is false, but for {\"$exists\":false}. Relative times count from when the send is due. At most 12 levels of logic, 256 clauses and 10,000 values; docs/targeting.md has an example of each"`
	Recipients []Recipient     `json:"recipients,omitempty" maxItems:"10000" doc:"At most 10,000. With the rest of the request they are at most 8 MiB and 400,000 values of JSON: 800 bytes and 35 values for each of 10,000"`
}

// Recipient is an explicit one: a user with all subscriptions, or one
// subscription.
type Recipient struct {
	User         string                `json:"user,omitempty" maxLength:"256"`
	Subscription tocsin.SubscriptionID `json:"subscription,omitzero"`
	Values       map[string]string     `json:"values,omitempty" doc:"Values of template outputs, for this recipient only"`
}

// Message is content in one or more languages.
type Message struct {
	Languages map[string]Content `json:"languages,omitempty" doc:"Content by BCP 47 tag, such as fr or fr-ca; absent in a message that shows nothing"`
	Fallback  string             `json:"fallback,omitempty" maxLength:"35" doc:"Language used where none fits; may be absent where there is only one"`
	Link      string             `json:"link,omitempty" maxLength:"2048" doc:"Opened by a tap, unless the language has its own"`
	Image     string             `json:"image,omitempty" maxLength:"2048"`
	Badge     *int32             `json:"badge,omitempty" minimum:"0"`
	Sound     string             `json:"sound,omitempty" maxLength:"100"`
	Data      map[string]string  `json:"data,omitempty" doc:"Handed to the app"`
	Priority  Priority           `json:"priority,omitempty" enum:"high,normal" doc:"high shows at once and is the default; normal may wait for the device"`
	TTL       int64              `json:"ttl,omitempty" minimum:"0" maximum:"2419200" doc:"Time to live in seconds, from when the send is due; 0 is the default of 24 hours"`
	OnDoubt   tocsin.OnDoubt     `json:"on_doubt,omitzero" doc:"What happens to a push that may have left unanswered; resend when absent"`
	Attempts  int                `json:"attempts,omitempty" minimum:"0" maximum:"20" doc:"How often the push may leave whose answer is lost; 0 is the default of 5. An answer that says it was not taken costs nothing: it is tried again until ttl ends"`
	Defaults  map[string]string  `json:"defaults,omitempty" doc:"Values of template outputs that a recipient lacks"`
	APNs      json.RawMessage    `json:"apns,omitempty" doc:"Object merged over the APNs payload"`
	FCM       json.RawMessage    `json:"fcm,omitempty" doc:"Object merged over the FCM message"`
	WebPush   json.RawMessage    `json:"webpush,omitempty" doc:"Object merged over the Web Push payload"`
}

// Content is a message in one language. Title, body, link and image may hold
// template outputs such as {{ first_name }}.
type Content struct {
	Title string `json:"title" maxLength:"1000"`
	Body  string `json:"body,omitempty" maxLength:"4000"`
	Link  string `json:"link,omitempty" maxLength:"2048"`
	Image string `json:"image,omitempty" maxLength:"2048"`
}

// Priority is how soon a device shows a message.
type Priority string

const (
	PriorityHigh   Priority = "high"
	PriorityNormal Priority = "normal"
)
