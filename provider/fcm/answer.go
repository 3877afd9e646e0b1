package fcm

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// soon is the wait where a new access token is all that was missing.
const soon = time.Second

// row is what an error means.
type row struct {
	result provider.Result
	reason tocsin.Reason
	scope  provider.Scope
	renew  bool // the access token; a Fault when this one was new
}

var (
	unregistered = row{result: provider.Gone}
	mismatch     = row{result: provider.Gone, reason: tocsin.ReasonTopic}
	badToken     = row{result: provider.Refused, reason: tocsin.ReasonToken}
	badPayload   = row{result: provider.Refused, reason: tocsin.ReasonPayload}
	tooLarge     = row{result: provider.Refused, reason: tocsin.ReasonSize}
	fault        = row{result: provider.Fault, reason: tocsin.ReasonCredential}
	unauthorised = row{result: provider.Fault, reason: tocsin.ReasonCredential, renew: true}
	throttled    = row{result: provider.Later, reason: tocsin.ReasonThrottled, scope: provider.WholeQuota}
	unavailable  = row{result: provider.Later, reason: tocsin.ReasonUnavailable}
)

// codes is the table of FcmError.errorCode, which decides first. Without field
// violations INVALID_ARGUMENT speaks of the token. It never drops an address by
// itself: only a payload known to be good would make the token guilty.
var codes = map[string]row{
	"UNREGISTERED":           unregistered,
	"INVALID_ARGUMENT":       badToken,
	"SENDER_ID_MISMATCH":     mismatch,
	"THIRD_PARTY_AUTH_ERROR": fault,
	"QUOTA_EXCEEDED":         throttled,
	"INTERNAL":               unavailable,
	"UNAVAILABLE":            unavailable,
	"UNSPECIFIED_ERROR":      unavailable,
}

// statuses is the table of the status, which decides where no code is given.
var statuses = map[string]row{
	"INVALID_ARGUMENT":   badPayload,
	"UNAUTHENTICATED":    unauthorised,
	"PERMISSION_DENIED":  fault,
	"NOT_FOUND":          fault, // the Firebase project, not the token
	"RESOURCE_EXHAUSTED": throttled,
	"INTERNAL":           unavailable,
	"UNAVAILABLE":        unavailable,
	"DEADLINE_EXCEEDED":  unavailable,
}

// byHTTP is for bodies that say nothing we know.
func byHTTP(status int) row {
	switch {
	case status == 401:
		return unauthorised
	case status == 403 || status == 404:
		return fault
	case status == 413:
		return tooLarge
	case status == 429:
		return throttled
	case status >= 400 && status < 500:
		return badPayload
	}
	return unavailable // 5xx; 3xx, which is not followed
}

// failure is the body of an error.
type failure struct {
	Error struct {
		Message string `json:"message"`
		Status  string `json:"status"`
		Details []struct {
			Type       string `json:"@type"`
			ErrorCode  string `json:"errorCode"`
			Violations []struct {
				Field       string `json:"field"`
				Subject     string `json:"subject"`
				Description string `json:"description"`
			} `json:"fieldViolations"`
		} `json:"details"`
	} `json:"error"`
}

// judge maps an answer to its verdict.
func judge(status int, body []byte) (v bulk.Verdict, renew bool) {
	var f failure
	_ = json.Unmarshal(body, &f) // a body that is not JSON is judged by the HTTP status
	code, fields := "", ""
	for _, d := range f.Error.Details {
		if strings.HasSuffix(d.Type, "fcm.v1.FcmError") {
			code = d.ErrorCode
		}
		for _, w := range d.Violations {
			if fields != "message.token" {
				fields = w.Field
			}
		}
	}
	r, known := codes[code]
	text := code
	if !known {
		if r, known = statuses[f.Error.Status]; known {
			text = f.Error.Status
		} else {
			r, text = byHTTP(status), f.Error.Status
		}
	}
	if fields != "" && r.result == provider.Refused { // a BadRequest says which field
		if r = badPayload; fields == "message.token" {
			r = badToken
		}
	}
	if r.reason == tocsin.ReasonThrottled && strings.Contains(strings.ToLower(f.Error.Message), "device") {
		r.scope = provider.OnePush
	}
	v.Result = r.result
	v.Detail = provider.Detail{Reason: r.reason, Scope: r.scope, Text: bulk.Word(text)}
	return v, r.renew
}
