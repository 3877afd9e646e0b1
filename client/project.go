package client

import (
	"encoding/json"
	"time"

	"github.com/tocsin-push/tocsin"
)

// ProjectRequest creates a project. It needs a platform admin key.
type ProjectRequest struct {
	Name        string              `json:"name" minLength:"1" maxLength:"100" doc:"Name shown to people; unique names are not required"`
	Environment tocsin.Environment  `json:"environment,omitzero" doc:"Whether its audience is real people; production when absent"`
	Origins     []string            `json:"origins,omitempty" maxItems:"100" doc:"Web origins that may call the device API, such as https://www.example.com"`
	Credentials []CredentialRequest `json:"credentials,omitempty" maxItems:"3" doc:"Provider credentials, at most one a provider"`
}

// ProjectUpdate changes what is set.
type ProjectUpdate struct {
	Name    *string   `json:"name,omitempty" minLength:"1" maxLength:"100"`
	Origins *[]string `json:"origins,omitempty" maxItems:"100" doc:"The whole new list of web origins"`
	Weight  *int      `json:"weight,omitempty" minimum:"1" maximum:"100" doc:"Its share of what leaves while other projects of the same class send too; needs a platform admin key"`
}

// Project is a tenant: an app family of one client in one environment.
type Project struct {
	ID          tocsin.ProjectID   `json:"id"`
	Name        string             `json:"name"`
	Environment tocsin.Environment `json:"environment"`
	Origins     []string           `json:"origins,omitempty"`
	Weight      int                `json:"weight" doc:"Its share of what leaves while other projects of the same class send too, 1 to 100"`
	DeviceKey   string             `json:"device_key,omitempty" doc:"Public key for apps and sites: it may call the device API only"`
	CreatedAt   time.Time          `json:"created_at"`
	Key         string             `json:"key,omitempty" doc:"First API key of the project, with every scope; shown only in the answer that creates it"`
}

// Projects is one page of projects.
type Projects struct {
	Projects []Project `json:"projects"`
	Next     string    `json:"next,omitempty" doc:"Give it as after to read the next page; absent on the last"`
}

// Scope is what an API key may do.
type Scope string

const (
	ScopeSend     Scope = "send"     // create and cancel sends
	ScopeAudience Scope = "audience" // write subscriptions and imports
	ScopeRead     Scope = "read"     // read sends, counters, traces, counts and previews
	ScopeAdmin    Scope = "admin"    // keys, credentials and settings
)

// Scopes lists every scope.
var Scopes = [...]Scope{ScopeSend, ScopeAudience, ScopeRead, ScopeAdmin}

// KeyRequest creates an API key.
type KeyRequest struct {
	Name   string  `json:"name" minLength:"1" maxLength:"100"`
	Scopes []Scope `json:"scopes" minItems:"1" maxItems:"4"`

	ExpiresAt time.Time `json:"expires_at,omitzero" doc:"Never when absent"`
}

// Key is an API key. Its text is shown once.
type Key struct {
	ID        tocsin.KeyID `json:"id"`
	Name      string       `json:"name"`
	Scopes    []Scope      `json:"scopes"`
	CreatedAt time.Time    `json:"created_at"`
	ExpiresAt time.Time    `json:"expires_at,omitzero"`
	RevokedAt time.Time    `json:"revoked_at,omitzero"`
	Key       string       `json:"key,omitempty" doc:"Text of the key; only in the answer that creates it"`
}

// Keys are the keys of a project, those included that ended in the last 90
// days.
type Keys struct {
	Keys []Key `json:"keys"`
}

// CredentialRequest sets the credential of one provider, in place of the one
// before. Exactly the part that belongs to the provider is given.
type CredentialRequest struct {
	Provider  tocsin.Provider    `json:"provider"`
	APNs      *APNsCredential    `json:"apns,omitempty"`
	FCM       *FCMCredential     `json:"fcm,omitempty"`
	WebPush   *WebPushCredential `json:"webpush,omitempty"`
	Endpoints []Endpoint         `json:"endpoints,omitempty" maxItems:"16" doc:"Origins in place of the provider's own: a proxy or a test service"`
	Quota     int                `json:"quota,omitempty" minimum:"0" doc:"Pushes per minute; 0 is the provider's default"`
}

// APNsCredential is a provider token key of an Apple team.
type APNsCredential struct {
	Key     string   `json:"key,omitempty" maxLength:"4096" doc:"Text of the .p8 file; never given back"`
	KeyID   string   `json:"key_id"`
	TeamID  string   `json:"team_id"`
	Topics  []string `json:"topics" minItems:"1" maxItems:"100" doc:"Bundle identifiers of the apps"`
	Sandbox bool     `json:"sandbox,omitempty" doc:"Development environment of the provider"`
}

// FCMCredential is a Google service account.
type FCMCredential struct {
	ServiceAccount json.RawMessage `json:"service_account,omitempty" doc:"Object of the key file; never given back"`
	ProjectID      string          `json:"project_id,omitempty" readOnly:"true" doc:"Firebase project that it names"`
}

// WebPushCredential is a VAPID key pair. The pair is made by the server.
type WebPushCredential struct {
	Subject   string `json:"subject" maxLength:"256" doc:"mailto: or https: address of the operator, shown to push services"`
	PublicKey string `json:"public_key,omitempty" readOnly:"true" doc:"applicationServerKey for PushManager.subscribe, base64url"`
}

// Endpoint is an origin allowed in place of, or beside, the provider's own.
type Endpoint struct {
	Origin string `json:"origin" maxLength:"300" doc:"https://host[:port]"`
	Root   string `json:"root,omitempty" maxLength:"65536" doc:"PEM of the root certificates to trust; the system's when absent"`
}

// Credential is a provider credential without its secrets.
type Credential struct {
	ID        tocsin.CredentialID `json:"id"`
	Provider  tocsin.Provider     `json:"provider"`
	Version   uint64              `json:"version" doc:"Rises when it is replaced"`
	APNs      *APNsCredential     `json:"apns,omitempty"`
	FCM       *FCMCredential      `json:"fcm,omitempty"`
	WebPush   *WebPushCredential  `json:"webpush,omitempty"`
	Endpoints []Endpoint          `json:"endpoints,omitempty"`
	Quota     int                 `json:"quota,omitempty"`

	RefusedSince time.Time `json:"refused_since,omitzero" doc:"Since when the provider refuses it: its pushes wait until it is replaced, or expire; absent while it is accepted"`
}

// Credentials are the live credentials of a project.
type Credentials struct {
	Credentials []Credential `json:"credentials"`
}
