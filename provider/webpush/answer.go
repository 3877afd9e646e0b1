package webpush

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// row is what an answer means.
type row struct {
	result provider.Result
	reason tocsin.Reason
	scope  provider.Scope
}

var (
	gone        = row{result: provider.Gone}
	badRequest  = row{result: provider.Refused, reason: tocsin.ReasonPayload}
	tooLarge    = row{result: provider.Refused, reason: tocsin.ReasonSize}
	redirected  = row{result: provider.Refused, reason: tocsin.ReasonAddress} // never followed
	fault       = row{result: provider.Fault, reason: tocsin.ReasonCredential}
	otherKey    = row{result: provider.Refused, reason: tocsin.ReasonTopic}
	throttled   = row{result: provider.Later, reason: tocsin.ReasonThrottled}
	unavailable = row{result: provider.Later, reason: tocsin.ReasonUnavailable}
)

// reasons are words of Apple's service that say more than their status.
var reasons = map[string]row{
	"BadAuthorizationHeader": fault,
	"BadJwtToken":            fault,
	"BadVapidPublicKey":      fault,
	"VapidPkHashMismatch":    otherKey, // the subscription was made with another key
	"PayloadTooLarge":        tooLarge,
	"TooManyRequests":        throttled,
	"Shutdown":               unavailable,
}

// numbers are the errno of Mozilla's service that say more than their status.
var numbers = map[int]row{
	102: gone, 103: gone, 105: gone, 106: gone,
	104: tooLarge,
	109: fault,
	110: badRequest, 111: badRequest, 112: badRequest, 113: badRequest, 114: badRequest,
	201: unavailable, 202: unavailable,
}

func byStatus(status int) row {
	switch {
	case status >= 300 && status < 400:
		return redirected
	case status == 401 || status == 403:
		return fault
	case status == 404 || status == 410:
		return gone
	case status == 413:
		return tooLarge
	case status == 406 || status == 429: // WNS throttles with either
		return throttled
	case status >= 400 && status < 500:
		return badRequest
	}
	return unavailable
}

// judge maps an answer to its verdict.
func judge(a *bulk.Answer) (v bulk.Verdict) {
	var body struct {
		Reason string `json:"reason"`
		Errno  int    `json:"errno"`
	}
	_ = json.Unmarshal(a.Body, &body) // most services answer in words of their own
	r, text := byStatus(a.Status), strconv.Itoa(a.Status)
	if known, ok := reasons[body.Reason]; ok {
		r, text = known, body.Reason
	} else if known, ok := numbers[body.Errno]; ok {
		r, text = known, text+" errno "+strconv.Itoa(body.Errno)
	} else if word := bulk.Word(body.Reason + a.Note); word != "" {
		text += " " + word
	}
	v.Result = r.result
	v.Detail = provider.Detail{Reason: r.reason, Scope: r.scope, Text: text}
	if r.result == provider.Later {
		v.Detail.RetryAfter = a.RetryAfter
		if body.Errno == 202 && a.RetryAfter == 0 {
			v.Detail.RetryAfter = time.Second // Mozilla: at once
		}
	}
	v.Reconnect = body.Reason == "Shutdown"
	return v
}
