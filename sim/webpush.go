package sim

import (
	"bytes"
	"encoding/base64"
	"strconv"
)

const (
	webPushLimit = 4096 // of a body, RFC 8030 7.2
	topicLimit   = 32   // RFC 8030 5.4
)

// webPush answers POST /wp/<id> as a push service does, RFC 8030.
type webPush struct {
	*service
	origin   string // of the endpoints, and so the audience of VAPID tokens
	every    int    // one body in so many is decrypted
	vapid    *vapidCache
	browsers *browsers
}

type webPushSession struct {
	session
	*webPush

	header []byte // last authorization that was looked up ...
	token  *vapidToken
}

// pushError is an answer other than 201, with the error number of autopush.
type pushError struct {
	status, errno int
	message       string
}

func (w *webPush) open(c *conn) handler {
	return &webPushSession{session: w.session(c), webPush: w}
}

func (w *webPushSession) serve(r *request) error {
	s := &w.session
	if !s.begin(r) {
		return nil
	}
	path := r.get(fieldPath)
	token, send := hash(path), s.sendOf(r.get(fieldTopic))
	browser, id, no := w.find(path)
	if no.status == 0 && (browser != nil || !s.passes(r)) {
		no = w.check(r, browser)
	}
	if no.status == 0 {
		no = w.body(r, browser, id, token)
	}
	var v verdict
	if no.status == 0 {
		v = s.judge(token, send)
		no = webPushFault(&v)
	}
	message, status := madeID(s.seed, token, send), v.status(no.status, 201)
	answer, err := s.settle(r.stream, token, send, &message, status, &v)
	if status == 201 && browser != nil {
		ttl, _ := digits(r.get(fieldTTL))
		browser.deliver(newID(), r.body, int(ttl)) // a browser drops what it saw before
	}
	if !answer {
		return err
	}
	w.answer(r, status, no, &v, &message)
	s.depart(r.stream)
	return nil
}

func (w *webPushSession) answer(r *request, status int, no pushError, v *verdict, message *[16]byte) {
	s := &w.session
	s.block = appendStatus(s.block[:0], status)
	if status/100 == 2 {
		s.text = append(append(s.text[:0], w.origin...), "/m/"...)
		s.text = base64.RawURLEncoding.AppendEncode(s.text, message[:])
		s.block = appendHeader(s.block, "location", s.text)
		s.block = appendHeader(s.block, "ttl", r.get(fieldTTL))
		s.conn.reply(r.stream, v.delay, s.block, nil)
		return
	}
	if wait := s.retryAfter(v, false); wait > 0 {
		s.block = appendHeader(s.block, "retry-after", strconv.Itoa(wait))
	}
	s.block = appendHeader(s.block, "content-type", "application/json")
	if v.fault == Scripted && v.answer.Body != "" {
		s.text = append(s.text[:0], v.answer.Body...)
	} else {
		s.text = no.append(s.text[:0])
	}
	s.conn.reply(r.stream, v.delay, s.block, s.text)
}

var webPushPrefix = []byte("/wp/")

// find looks an endpoint up: a browser that registered it, or else one of the
// population, whose keys follow from its id.
func (w *webPushSession) find(path []byte) (*browser, [16]byte, pushError) {
	var id [16]byte
	text, found := bytes.CutPrefix(path, webPushPrefix)
	if n, err := base64.RawURLEncoding.Decode(id[:], text[:min(len(text), 22)]); !found || len(text) != 22 || err != nil || n != 16 {
		return nil, id, pushError{404, 102, "no such endpoint"}
	}
	b, gone := w.browsers.find(id)
	if gone {
		return nil, id, pushError{410, 106, "the browser unsubscribed"}
	}
	return b, id, pushError{}
}

// check looks at everything but the body.
func (w *webPushSession) check(r *request, b *browser) pushError {
	if string(r.get(fieldMethod)) != "POST" {
		return pushError{405, 0, "method not allowed"}
	}
	if no := w.authorise(r, b); no.status != 0 {
		return no
	}
	if !r.has(fieldTTL) {
		return pushError{400, 111, "TTL is missing"}
	}
	if _, ok := digits(r.get(fieldTTL)); !ok {
		return pushError{400, 112, "TTL is not a number"}
	}
	topic := r.get(fieldTopic)
	if len(topic) > topicLimit || !isBase64URL(topic) {
		return pushError{400, 113, "topic is not of at most 32 characters of base64url"}
	}
	switch string(r.get(fieldUrgency)) {
	case "", "very-low", "low", "normal", "high":
	default:
		return pushError{400, 0, "no such urgency"}
	}
	w.session.pass(r, w.token.expires.UnixNano())
	return pushError{}
}

// body checks the message, and decrypts one in so many.
func (w *webPushSession) body(r *request, b *browser, id [16]byte, token uint64) pushError {
	switch {
	case len(r.body) > webPushLimit:
		return pushError{413, 104, "body is longer than 4096 bytes"}
	case string(r.get(fieldContentEncoding)) != "aes128gcm":
		return pushError{400, 110, "content-encoding is not aes128gcm"}
	}
	sender, err := senderKey(r.body)
	if err == nil && bytes.Equal(sender, w.token.key) {
		err = errOwnKey
	}
	if err == nil && b == nil && mix(token)%uint64(w.every) == 0 {
		w.session.totals.checked.Add(1)
		_, err = NewBrowserKeys(w.session.seed, id).Decrypt(r.body)
	}
	if err != nil {
		w.session.totals.malformed.Add(1)
		return pushError{400, 110, err.Error()}
	}
	return pushError{}
}

// webPushFault is the answer that stands for a fault, if it has one.
func webPushFault(v *verdict) pushError {
	switch v.fault {
	case Scripted:
		errno, _ := strconv.Atoi(v.answer.Reason)
		return pushError{v.answer.Status, errno, "scripted"}
	case Gone:
		return pushError{410, 106, "the browser unsubscribed"}
	case BadToken:
		return pushError{404, 102, "no such endpoint"}
	case Throttled:
		return pushError{429, 0, "too many messages for this endpoint"}
	case Unavailable:
		return pushError{503, 201, "use exponential back-off"}
	case Expired:
		return pushError{401, 109, "the VAPID token is expired"}
	}
	return pushError{}
}

func (e pushError) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"code":`...), int64(e.status), 10)
	b = strconv.AppendInt(append(b, `,"errno":`...), int64(e.errno), 10)
	return append(strconv.AppendQuote(append(b, `,"message":`...), e.message), '}')
}

func isBase64URL(text []byte) bool {
	for _, c := range text {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// EndpointPath is the path of a Web Push endpoint, under the service's origin.
func EndpointPath(id [16]byte) string { return "/wp/" + base64.RawURLEncoding.EncodeToString(id[:]) }
