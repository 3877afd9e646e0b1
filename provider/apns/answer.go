package apns

import (
	"encoding/json"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// then is what else an answer asks for.
type then uint8

const (
	nothing   then = iota
	waitLong       // Config.ServerError
	reconnect      // another connection
	renew          // another token; a Fault when this one was young
)

type verdict struct {
	bulk.Verdict
	then then
}

// row is what Apple's reason means.
type row struct {
	result provider.Result
	reason tocsin.Reason
	scope  provider.Scope
	then   then
}

// rows is Apple's table of reasons ("Handling notification responses from
// APNs").
var rows = map[string]row{
	// 400: the request is wrong and would be again.
	"BadCollapseId":      {result: provider.Refused, reason: tocsin.ReasonPayload},
	"BadExpirationDate":  {result: provider.Refused, reason: tocsin.ReasonPayload},
	"BadMessageId":       {result: provider.Refused, reason: tocsin.ReasonPayload},
	"BadPriority":        {result: provider.Refused, reason: tocsin.ReasonPayload},
	"DuplicateHeaders":   {result: provider.Refused, reason: tocsin.ReasonPayload},
	"InvalidPushType":    {result: provider.Refused, reason: tocsin.ReasonPayload},
	"MissingDeviceToken": {result: provider.Refused, reason: tocsin.ReasonPayload},
	"PayloadEmpty":       {result: provider.Refused, reason: tocsin.ReasonPayload},

	// 400: the configuration is wrong.
	"BadTopic":        {result: provider.Fault, reason: tocsin.ReasonCredential},
	"MissingTopic":    {result: provider.Fault, reason: tocsin.ReasonCredential},
	"TopicDisallowed": {result: provider.Fault, reason: tocsin.ReasonCredential},

	// 400: malformed, or of the other environment; of another app.
	"BadDeviceToken":         {result: provider.Refused, reason: tocsin.ReasonToken},
	"DeviceTokenNotForTopic": {result: provider.Refused, reason: tocsin.ReasonTopic},
	"IdleTimeout":            {result: provider.Later, reason: tocsin.ReasonUnavailable, then: reconnect},

	// 403
	"BadCertificate":             {result: provider.Fault, reason: tocsin.ReasonCredential},
	"BadCertificateEnvironment":  {result: provider.Fault, reason: tocsin.ReasonCredential},
	"InvalidProviderToken":       {result: provider.Fault, reason: tocsin.ReasonCredential},
	"MissingProviderToken":       {result: provider.Fault, reason: tocsin.ReasonCredential},
	"Forbidden":                  {result: provider.Fault, reason: tocsin.ReasonCredential},
	"BadEnvironmentKeyIdInToken": {result: provider.Fault, reason: tocsin.ReasonCredential},
	"BadEnvironmentKeyInToken":   {result: provider.Fault, reason: tocsin.ReasonCredential},
	"ExpiredProviderToken":       {result: provider.Later, reason: tocsin.ReasonCredential, then: renew},
	"UnrelatedKeyIdInToken":      {result: provider.Later, reason: tocsin.ReasonCredential, then: reconnect},

	"BadPath":          {result: provider.Refused, reason: tocsin.ReasonPayload}, // 404
	"MethodNotAllowed": {result: provider.Refused, reason: tocsin.ReasonPayload}, // 405

	// 410
	"Unregistered": {result: provider.Gone},
	"ExpiredToken": {result: provider.Gone},

	"PayloadTooLarge": {result: provider.Refused, reason: tocsin.ReasonSize}, // 413

	// 429: too many to one device; too many tokens of ours.
	"TooManyRequests":             {result: provider.Later, reason: tocsin.ReasonThrottled},
	"TooManyProviderTokenUpdates": {result: provider.Later, reason: tocsin.ReasonThrottled, scope: provider.WholeQuota},

	// 500, 503
	"InternalServerError": {result: provider.Later, reason: tocsin.ReasonUnavailable, then: waitLong},
	"ServiceUnavailable":  {result: provider.Later, reason: tocsin.ReasonUnavailable, then: waitLong},
	"Shutdown":            {result: provider.Later, reason: tocsin.ReasonUnavailable, then: reconnect},
}

// byStatus is for reasons that the table does not know.
func byStatus(status int) row {
	switch {
	case status == 403 || status == 401:
		return row{result: provider.Fault, reason: tocsin.ReasonCredential}
	case status == 410:
		return row{result: provider.Gone}
	case status == 413:
		return row{result: provider.Refused, reason: tocsin.ReasonSize}
	case status == 429:
		return row{result: provider.Later, reason: tocsin.ReasonThrottled}
	case status >= 400 && status < 500:
		return row{result: provider.Refused, reason: tocsin.ReasonPayload}
	case status >= 500:
		return row{result: provider.Later, reason: tocsin.ReasonUnavailable, then: waitLong}
	}
	return row{result: provider.Later, reason: tocsin.ReasonUnavailable} // 3xx: nothing is followed
}

// soon is the wait where a new connection or token is all that was missing.
const soon = time.Second

// judge maps an answer to its verdict.
func judge(status int, reason string) verdict {
	r, known := rows[reason]
	if !known {
		r, reason = byStatus(status), bulk.Word(reason)
	}
	v := verdict{then: r.then}
	v.Result = r.result
	v.Detail = provider.Detail{Reason: r.reason, Scope: r.scope, Text: reason}
	switch r.then {
	case reconnect:
		v.Reconnect, v.Detail.RetryAfter = true, soon
	case renew:
		v.Halt, v.Detail.RetryAfter = true, soon
	}
	return v
}

// parse reads the body of an error.
func parse(body []byte) (reason string, timestamp int64) {
	var answer struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", 0
	}
	return answer.Reason, answer.Timestamp
}
