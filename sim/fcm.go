package sim

import (
	"bytes"
	"strconv"
	"sync"
	"time"
)

// fcm answers POST /v1/projects/<project>/messages:send as the HTTP v1 API does.
type fcm struct {
	*service
	accounts *fcmAccounts
}

// fcmSession is one connection to it.
type fcmSession struct {
	session
	accounts *fcmAccounts
	scanner  fcmScanner
	bearer   []byte     // last access token that was looked up ...
	access   *fcmAccess // ... and what it opens; nil: nothing
	path     []byte     // of the last good request
}

// fcmProject is a Firebase project and its quota bucket.
type fcmProject struct {
	id    string
	quota gate
}

// fcmAccess is an access token that the token endpoint gave out.
type fcmAccess struct {
	project *fcmProject
	expires time.Time
}

// fcmAccounts holds what the token endpoint and the send endpoint share.
type fcmAccounts struct {
	mu     sync.RWMutex
	access map[string]*fcmAccess
}

func (f *fcm) open(c *conn) handler {
	return &fcmSession{session: f.session(c), accounts: f.accounts}
}

// fcmError is an answer other than 200: HTTP status, FcmError.errorCode, and
// for a mistake in the request itself the field that google.rpc.BadRequest names.
type fcmError struct {
	status  int
	code    string
	field   string
	message string
}

func (f *fcmSession) serve(r *request) error {
	if !f.begin(r) {
		return nil
	}
	var no *fcmError
	if !f.passes(r) || !bytes.Equal(r.get(fieldPath), f.path) {
		no = f.authorise(r)
	}
	var m *fcmMessage
	if no == nil {
		m, no = f.scanner.scan(r.body)
	}
	var token, send uint64
	if m != nil {
		token, send = hash(m.token), f.sendOf(m.tag)
	}
	if no == nil {
		no = f.spend()
	}
	spent := no != nil && no.status == 429
	var v verdict
	if no == nil {
		v = f.judge(token, send)
		no = fcmFault(&v)
	}
	wrong := 0
	if no != nil {
		wrong = no.status
	}
	id, status := madeID(f.seed, token, send), v.status(wrong, 200)
	if answer, err := f.settle(r.stream, token, send, &id, status, &v); !answer {
		return err
	}
	f.block = f.conn.appendJSONType(appendStatus(f.block[:0], status), v.delay)
	if wait := f.retryAfter(&v, spent); wait > 0 {
		f.block = appendHeader(f.block, "retry-after", strconv.Itoa(wait))
	}
	if status == 200 {
		f.text = append(append(append(f.text[:0], `{"name":"projects/`...), f.access.project.id...), `/messages/0:`...)
		f.text = append(strconv.AppendUint(f.text, mix(token^send), 16), `"}`...)
	} else {
		f.text = no.append(f.text[:0])
	}
	if v.fault == Scripted && v.answer.Body != "" {
		f.text = append(f.text[:0], v.answer.Body...)
	}
	f.conn.reply(r.stream, v.delay, f.block, f.text)
	f.depart(r.stream)
	return nil
}

var (
	fcmPrefix = []byte("/v1/projects/")
	fcmSuffix = []byte("/messages:send")
)

// authorise checks path, method and access token.
func (f *fcmSession) authorise(r *request) *fcmError {
	project, found := bytes.CutPrefix(r.get(fieldPath), fcmPrefix)
	project, ends := bytes.CutSuffix(project, fcmSuffix)
	if !found || !ends || string(r.get(fieldMethod)) != "POST" {
		return &fcmError{status: 404, message: "Requested entity was not found."}
	}
	bearer, found := bytes.CutPrefix(r.get(fieldAuthorization), []byte("Bearer "))
	if !found {
		return &fcmError{status: 401, message: "Request is missing required authentication credential."}
	}
	if f.access == nil || !bytes.Equal(bearer, f.bearer) {
		f.bearer = append(f.bearer[:0], bearer...)
		f.access = f.accounts.open(bearer)
	}
	if f.access == nil || f.rules.Load().Revoked || !f.conn.pipe.read.Before(f.access.expires) {
		return &fcmError{status: 401, message: "Request had invalid authentication credentials."}
	}
	if string(project) != f.access.project.id {
		return &fcmError{status: 403, message: "Permission 'cloudmessaging.messages.create' denied."}
	}
	f.path = append(f.path[:0], r.get(fieldPath)...)
	f.pass(r, f.access.expires.UnixNano())
	return nil
}

// spend takes one message of the project's quota. Later mistakes count too;
// only a 429 does not.
func (f *fcmSession) spend() *fcmError {
	rules := f.rules.Load()
	if rules.Quota == 0 || f.access.project.quota.take(f.conn.pipe.read, rules.interval, time.Duration(rules.QuotaWindow)) {
		return nil
	}
	return &fcmError{status: 429, code: "QUOTA_EXCEEDED", message: "Quota exceeded for quota metric 'messages'."}
}

func (a *fcmAccounts) open(bearer []byte) *fcmAccess {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.access[string(bearer)]
}

func (a *fcmAccounts) grant(token string, access *fcmAccess) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.access == nil || len(a.access) >= maxCached {
		a.access = make(map[string]*fcmAccess)
	}
	a.access[token] = access
}

// fcmFault is the answer that stands for a fault, if it has one.
func fcmFault(v *verdict) *fcmError {
	switch v.fault {
	case Scripted:
		return &fcmError{status: v.answer.Status, code: v.answer.Reason, message: "scripted"}
	case Gone:
		return &fcmError{status: 404, code: "UNREGISTERED", message: "Requested entity was not found."}
	case BadToken:
		return &fcmError{status: 400, code: "INVALID_ARGUMENT", message: badToken}
	case Throttled:
		return &fcmError{status: 429, code: "QUOTA_EXCEEDED", message: "Quota exceeded."}
	case Unavailable:
		return &fcmError{status: 503, code: "UNAVAILABLE", message: "The service is currently unavailable."}
	case Expired:
		return &fcmError{status: 401, message: "Request had invalid authentication credentials."}
	}
	return nil
}

const badToken = "The registration token is not a valid FCM registration token"

// fcmStatus is google.rpc.Code by HTTP status.
func fcmStatus(status int) string {
	switch status {
	case 400:
		return "INVALID_ARGUMENT"
	case 401:
		return "UNAUTHENTICATED"
	case 403:
		return "PERMISSION_DENIED"
	case 404:
		return "NOT_FOUND"
	case 429:
		return "RESOURCE_EXHAUSTED"
	case 500:
		return "INTERNAL"
	case 503:
		return "UNAVAILABLE"
	}
	return "UNKNOWN"
}

// append writes the error as Google's JSON does. The code "BadRequest" asks for
// the details of a mistake in the request.
func (e *fcmError) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"error":{"code":`...), int64(e.status), 10)
	b = strconv.AppendQuote(append(b, `,"message":`...), e.message)
	b = append(append(append(b, `,"status":"`...), fcmStatus(e.status)...), '"')
	switch {
	case e.field != "" || e.code == "BadRequest":
		b = append(b, `,"details":[{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":`...)
		b = strconv.AppendQuote(b, e.field)
		b = append(strconv.AppendQuote(append(b, `,"description":`...), e.message), `}]}]`...)
	case e.code != "":
		b = append(b, `,"details":[{"@type":"type.googleapis.com/google.firebase.fcm.v1.FcmError","errorCode":"`...)
		b = append(append(b, e.code...), `"}]`...)
	}
	return append(b, `}}`...)
}
