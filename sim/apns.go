package sim

import (
	"bytes"
	"encoding/json"
	"strconv"
)

const (
	apnsPayloadLimit  = 4096
	apnsVoIPLimit     = 5120
	apnsCollapseLimit = 64
)

// apns answers POST /3/device/<token> as the provider API does.
type apns struct {
	*service
	keys *apnsKeys
}

// apnsSession is one connection to it.
type apnsSession struct {
	session
	keys *apnsKeys

	bearer []byte     // last provider token that was looked up ...
	token  *apnsToken // ... and what it proved to be
	bound  *apnsToken // the token that this connection is bound to
	since  int64      // when bound was first seen here
}

// refusal is an answer other than 200; a zero status is none.
type refusal struct {
	status int
	reason string
}

func (a *apns) open(c *conn) handler {
	return &apnsSession{session: a.session(c), keys: a.keys}
}

func (a *apnsSession) serve(r *request) error {
	if !a.begin(r) {
		return nil
	}
	var id [16]byte
	token, no := apnsPath(r)
	if no.status == 0 && !a.passes(r) {
		no = a.check(r)
	}
	if no.status == 0 && r.has(fieldAPNsID) && !parseUUID(r.get(fieldAPNsID), &id) {
		no = refusal{400, "BadMessageId"}
	}
	if no.status == 0 {
		no = a.payload(r)
	}
	tokenHash, send := hash(token), a.sendOf(r.get(fieldAPNsCollapseID))
	if !r.has(fieldAPNsID) || id == [16]byte{} {
		id = madeID(a.seed, tokenHash, send)
	}
	var v verdict
	if no.status == 0 {
		if no = apnsForm(token); no.status == 0 {
			v = a.judge(tokenHash, send)
			no = apnsFault(&v)
		}
	}
	status := v.status(no.status, 200)
	if answer, err := a.settle(r.stream, tokenHash, send, &id, status, &v); !answer {
		return err
	}
	a.block = appendStatus(a.block[:0], status)
	if text := r.get(fieldAPNsID); len(text) == 36 && no.reason != "BadMessageId" {
		a.block = append(append(a.block, apnsIDName...), text...)
	} else {
		a.block = appendAPNsID(a.block, &id)
	}
	if status == 200 && !(v.fault == Scripted && v.answer.Body != "") {
		a.conn.reply(r.stream, v.delay, a.block, nil)
	} else {
		a.refuse(r.stream, no.reason, &v)
	}
	a.depart(r.stream)
	return nil
}

// refuse completes a.block and answers with a JSON reason.
func (a *apnsSession) refuse(stream uint32, reason string, v *verdict) {
	if wait := a.retryAfter(v, false); wait > 0 {
		a.block = appendHeader(a.block, "retry-after", strconv.Itoa(wait))
	}
	a.block = appendHeader(a.block, "content-type", "application/json")
	a.text = append(append(append(a.text[:0], `{"reason":"`...), reason...), '"')
	timestamp := int64(0)
	switch v.fault {
	case Gone:
		// The one answer that needs a clock: dead since now, so that whoever
		// registered before may drop the address.
		timestamp = a.conn.pipe.read.UnixMilli()
	case Scripted:
		timestamp = v.answer.Timestamp
	}
	if timestamp > 0 {
		a.text = strconv.AppendInt(append(a.text, `,"timestamp":`...), timestamp, 10)
	}
	a.text = append(a.text, '}')
	if v.fault == Scripted && v.answer.Body != "" {
		a.text = append(a.text[:0], v.answer.Body...)
	}
	a.conn.reply(stream, v.delay, a.block, a.text)
}

// apnsFault is the answer that stands for a fault, if it has one.
func apnsFault(v *verdict) refusal {
	switch v.fault {
	case Scripted:
		return refusal{v.answer.Status, v.answer.Reason}
	case Gone:
		return refusal{410, "Unregistered"}
	case BadToken:
		return refusal{400, "BadDeviceToken"}
	case Throttled:
		return refusal{429, "TooManyRequests"}
	case Unavailable:
		return refusal{503, "ServiceUnavailable"}
	case Expired:
		return refusal{403, "ExpiredProviderToken"}
	}
	return refusal{}
}

var apnsPrefix = []byte("/3/device/")

func apnsPath(r *request) (token []byte, no refusal) {
	token, found := bytes.CutPrefix(r.get(fieldPath), apnsPrefix)
	switch {
	case !found || bytes.IndexByte(token, '/') >= 0:
		return nil, refusal{404, "BadPath"}
	case string(r.get(fieldMethod)) != "POST":
		return token, refusal{405, "MethodNotAllowed"}
	case len(token) == 0:
		return token, refusal{400, "MissingDeviceToken"}
	}
	return token, refusal{}
}

// apnsForm checks the form of a device token: hex of any length (the provider
// says not to assume one).
func apnsForm(token []byte) refusal {
	if len(token)%2 != 0 || !isHex(token) {
		return refusal{400, "BadDeviceToken"}
	}
	return refusal{}
}

// check looks at the headers that a sender's pushes have in common.
func (a *apnsSession) check(r *request) refusal {
	if no := a.authorise(r); no.status != 0 {
		return no
	}
	if r.duplicate {
		return refusal{400, "DuplicateHeaders"}
	}
	if len(r.get(fieldAPNsCollapseID)) > apnsCollapseLimit {
		return refusal{400, "BadCollapseId"}
	}
	until := a.token.issued + int64(a.rules.Load().TokenAge)
	if r.has(fieldAPNsExpiration) {
		at, ok := digits(r.get(fieldAPNsExpiration))
		if !ok {
			return refusal{400, "BadExpirationDate"}
		}
		switch now := a.conn.pipe.nanos; {
		case at >= until/1e9 || at == 0: // 0: to be tried once, now
		case at < now/1e9:
			until = 0
			a.totals.stale.Add(1)
		default:
			until = (at + 1) * 1e9
		}
	}
	kind, priority := r.get(fieldAPNsPushType), r.get(fieldAPNsPriority)
	switch string(priority) {
	case "5", "1":
	case "10":
		if string(kind) == "background" {
			return refusal{400, "BadPriority"}
		}
	default:
		if r.has(fieldAPNsPriority) {
			return refusal{400, "BadPriority"}
		}
	}
	no := a.topicFits(r.get(fieldAPNsTopic), kind)
	if no.status == 0 {
		a.pass(r, until)
	}
	return no
}

func (a *apnsSession) payload(r *request) refusal {
	limit := apnsPayloadLimit
	if string(r.get(fieldAPNsPushType)) == "voip" {
		limit = apnsVoIPLimit
	}
	switch {
	case len(r.body) == 0:
		return refusal{400, "PayloadEmpty"}
	case len(r.body) > limit:
		return refusal{413, "PayloadTooLarge"}
	}
	// The provider does not say what it answers to a body that is no JSON.
	// One in so many is read, and counted when a phone could not.
	if a.pushes%parseEvery == 1 {
		a.totals.checked.Add(1)
		if !json.Valid(r.body) {
			a.totals.malformed.Add(1)
		}
	}
	return refusal{}
}
