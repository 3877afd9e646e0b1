package api

import (
	"encoding/json"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Schemas of the types that write their own JSON.
type (
	environmentSchema  struct{}
	providerSchema     struct{}
	classSchema        struct{}
	onDoubtSchema      struct{}
	outcomeSchema      struct{}
	reasonSchema       struct{}
	scopeSchema        struct{}
	valueSchema        struct{}
	tagsSchema         struct{}
	objectSchema       struct{}
	projectIDSchema    struct{}
	sendIDSchema       struct{}
	subIDSchema        struct{}
	keyIDSchema        struct{}
	credentialIDSchema struct{}
	importIDSchema     struct{}
	rateSchema         struct{}
)

func enumWords[E interface{ String() string }](all ...E) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, e := range all {
		s.Enum = append(s.Enum, e.String())
	}
	return s
}

func identifier(prefix string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Pattern: "^(" + prefix + "_[0-7][0-9a-hjkmnp-tv-z]{25})?$",
		PatternDescription: "identifier that begins with " + prefix + "_"}
}

func (environmentSchema) Schema(huma.Registry) *huma.Schema {
	return enumWords(tocsin.Production, tocsin.Preproduction, tocsin.Development)
}
func (providerSchema) Schema(huma.Registry) *huma.Schema {
	return enumWords(tocsin.APNs, tocsin.FCM, tocsin.WebPush)
}
func (classSchema) Schema(huma.Registry) *huma.Schema {
	return enumWords(tocsin.Urgent, tocsin.Transactional, tocsin.Normal, tocsin.Synthetic)
}
func (onDoubtSchema) Schema(huma.Registry) *huma.Schema { return enumWords(tocsin.Resend, tocsin.Skip) }
func (outcomeSchema) Schema(huma.Registry) *huma.Schema { return enumWords(tocsin.Outcomes[:]...) }
func (reasonSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString}
}
func (scopeSchema) Schema(huma.Registry) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeString}
	for _, scope := range client.Scopes {
		s.Enum = append(s.Enum, string(scope))
	}
	return s
}

func (valueSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: `Typed value: a string, an integer, a number with a point or an exponent, true or false, ` +
		`{"time": RFC 3339}, {"url": address}, {"lat": degrees north, "lon": degrees east}; null removes the attribute`}
}

func (tagsSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Description: `A list of tags replaces the set; {"add": [...], "remove": [...]} changes it`}
}

func (rateSchema) Schema(huma.Registry) *huma.Schema {
	least, most := 1.0, float64(maxRate)
	return &huma.Schema{Type: huma.TypeInteger, Nullable: true, Minimum: &least, Maximum: &most,
		Description: "Pushes a minute at most; null is as fast as possible"}
}

func (objectSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

func (projectIDSchema) Schema(huma.Registry) *huma.Schema    { return identifier("prj") }
func (sendIDSchema) Schema(huma.Registry) *huma.Schema       { return identifier("snd") }
func (subIDSchema) Schema(huma.Registry) *huma.Schema        { return identifier("sub") }
func (keyIDSchema) Schema(huma.Registry) *huma.Schema        { return identifier("key") }
func (credentialIDSchema) Schema(huma.Registry) *huma.Schema { return identifier("crd") }
func (importIDSchema) Schema(huma.Registry) *huma.Schema     { return identifier("imp") }

// describe builds the empty document and teaches it the types above.
func describe() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	for _, pair := range [...][2]reflect.Type{
		{reflect.TypeFor[tocsin.Environment](), reflect.TypeFor[environmentSchema]()},
		{reflect.TypeFor[tocsin.Provider](), reflect.TypeFor[providerSchema]()},
		{reflect.TypeFor[tocsin.Class](), reflect.TypeFor[classSchema]()},
		{reflect.TypeFor[tocsin.OnDoubt](), reflect.TypeFor[onDoubtSchema]()},
		{reflect.TypeFor[tocsin.Outcome](), reflect.TypeFor[outcomeSchema]()},
		{reflect.TypeFor[tocsin.Reason](), reflect.TypeFor[reasonSchema]()},
		{reflect.TypeFor[client.Scope](), reflect.TypeFor[scopeSchema]()},
		{reflect.TypeFor[client.Value](), reflect.TypeFor[valueSchema]()},
		{reflect.TypeFor[client.Tags](), reflect.TypeFor[tagsSchema]()},
		{reflect.TypeFor[json.RawMessage](), reflect.TypeFor[objectSchema]()},
		{reflect.TypeFor[tocsin.ProjectID](), reflect.TypeFor[projectIDSchema]()},
		{reflect.TypeFor[tocsin.SendID](), reflect.TypeFor[sendIDSchema]()},
		{reflect.TypeFor[tocsin.SubscriptionID](), reflect.TypeFor[subIDSchema]()},
		{reflect.TypeFor[tocsin.KeyID](), reflect.TypeFor[keyIDSchema]()},
		{reflect.TypeFor[tocsin.CredentialID](), reflect.TypeFor[credentialIDSchema]()},
		{reflect.TypeFor[tocsin.ImportID](), reflect.TypeFor[importIDSchema]()},
		{reflect.TypeFor[client.Rate](), reflect.TypeFor[rateSchema]()},
	} {
		registry.RegisterTypeAlias(pair[0], pair[1])
	}
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{Title: "Tocsin", Version: "1", Description: "Push notifications to a whole audience at once. " +
				"Errors are application/problem+json (RFC 9457)."},
			Components: &huma.Components{Schemas: registry, SecuritySchemes: map[string]*huma.SecurityScheme{
				"key": {Type: "http", Scheme: "bearer", Description: "API key (tcs_...), or the device key (tcd_...) for the device API"},
			}},
		},
		Formats:       map[string]huma.Format{"application/json": plainJSON, "json": plainJSON},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{reshape},
	}
}
