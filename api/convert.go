package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Limits and defaults of a send.
const (
	maxRecipients   = 10_000
	maxValues       = 50
	maxValue        = 1024
	maxAhead        = 366 * 24 * time.Hour
	maxBehind       = time.Minute // of the clock of a client that says "now"
	defaultTTL      = 24 * time.Hour
	defaultAttempts = 5
	maxRate         = 1_000_000_000 // pushes a minute
)

// sendRecord turns a request into its record, without mark and identity, and
// checks all that can be known before acceptance.
func sendRecord(read queryReader, project tocsin.ProjectID, id tocsin.SendID, accepted time.Time, r *client.SendRequest) (*record.Send, error) {
	class := r.Class
	if class == 0 {
		class = tocsin.Normal
	}
	if class == tocsin.Synthetic {
		return nil, invalid("class", "synthetic sends are made by drills only")
	}
	send := &record.Send{Send: id.Bytes(), Name: r.Name, Accepted: accepted.UnixNano(), Due: accepted.UnixNano(),
		Steer: ledger.Steering{PerMinute: r.Rate}.Record()}
	if r.At != nil {
		if r.At.Before(accepted.Add(-maxBehind)) {
			return nil, invalid("at", "is in the past")
		}
		if r.At.After(accepted.Add(maxAhead)) {
			return nil, invalid("at", "is more than a year ahead")
		}
		if r.At.After(accepted) {
			send.Due, send.Scheduled = r.At.UnixNano(), true
		}
	}
	q, query, recipients, err := targetRecord(read, &r.Target)
	if err != nil {
		return nil, err
	}
	if send.Query, send.Recipients = query, recipients; q != nil {
		send.Segments = audience.Definitions(q)
	}
	if send.Message, err = messageRecord(&r.Message); err != nil {
		return nil, err
	}
	ttl := time.Duration(r.Message.TTL) * time.Second
	if ttl == 0 {
		ttl = defaultTTL
	}
	onDoubt, attempts := r.Message.OnDoubt, r.Message.Attempts
	if onDoubt == 0 {
		onDoubt = tocsin.Resend
	}
	if attempts == 0 {
		attempts = defaultAttempts
	}
	send.Options = &record.Options{Class: uint32(class), OnDoubt: uint32(onDoubt), Ttl: int64(ttl), Attempts: uint32(attempts)}
	_, err = compile(send.Message, project, id, ttl, class)
	return send, err
}

// compile makes a message ready for every provider, so that what is wrong
// with it is said before it is accepted.
func compile(m *record.Message, project tocsin.ProjectID, id tocsin.SendID, ttl time.Duration, class tocsin.Class) (*content.Compiled, error) {
	compiled, err := content.Compile(m, content.Meta{Collapse: content.Collapse(project, id), TTL: ttl, Urgent: class == tocsin.Urgent})
	var wrong *content.Error
	if errors.As(err, &wrong) {
		return nil, invalid(wrong.Path, wrong.Problem)
	}
	return compiled, err
}

// targetRecord checks a target. The query is kept as the client wrote it, less
// its spaces.
func targetRecord(read queryReader, t *client.Target) (q *target.Query, query []byte, recipients []*record.Recipient, err error) {
	switch {
	case len(t.Query) > 0 && t.Recipients != nil:
		return nil, nil, nil, invalid("target", "give query or recipients, not both")
	case len(t.Query) > 0:
		if q, err = read(t.Query); err != nil {
			return nil, nil, nil, err
		}
		var tight bytes.Buffer
		if err := json.Compact(&tight, t.Query); err != nil {
			return nil, nil, nil, invalid("target.query", "not JSON")
		}
		return q, tight.Bytes(), nil, nil
	case len(t.Recipients) == 0:
		return nil, nil, nil, invalid("target", "give query or recipients")
	case len(t.Recipients) > maxRecipients:
		return nil, nil, nil, invalid("target.recipients", fmt.Sprintf("more than %d", maxRecipients))
	}
	recipients = make([]*record.Recipient, len(t.Recipients))
	for i := range t.Recipients {
		if recipients[i], err = recipientRecord(fmt.Sprintf("target.recipients[%d]", i), &t.Recipients[i]); err != nil {
			return nil, nil, nil, err
		}
	}
	return nil, nil, recipients, nil
}

// recipientRecord leaves the profile of one that is named by its subscription
// alone to the caller, who asks the shards for it.
func recipientRecord(path string, r *client.Recipient) (*record.Recipient, error) {
	if r.User == "" && r.Subscription.IsZero() {
		return nil, invalid(path, "give user or subscription")
	}
	if len(r.Values) > maxValues {
		return nil, invalid(path+".values", fmt.Sprintf("more than %d", maxValues))
	}
	for name, value := range r.Values {
		if !target.ValidName(name) {
			return nil, invalid(path+".values", "want names of 1 to 64 characters of a-z, 0-9 and _")
		}
		if len(value) > maxValue {
			return nil, invalid(path+".values."+name, fmt.Sprintf("longer than %d bytes", maxValue))
		}
	}
	out := &record.Recipient{Values: r.Values}
	if r.User != "" {
		out.Profile = profileKey(r.User, tocsin.SubscriptionID{})
	}
	if !r.Subscription.IsZero() {
		out.Subscription = r.Subscription.Bytes()
	}
	return out, nil
}

// messageRecord converts; content.Compile checks.
func messageRecord(m *client.Message) (*record.Message, error) {
	out := &record.Message{Fallback: target.LanguageTag(m.Fallback), Languages: make(map[string]*record.Text, len(m.Languages)),
		Defaults: m.Defaults, Data: m.Data, Badge: m.Badge, Sound: m.Sound, Link: m.Link, Image: m.Image,
		Apns: m.APNs, Fcm: m.FCM, Webpush: m.WebPush, Priority: content.PriorityHigh}
	if m.Priority == client.PriorityNormal {
		out.Priority = content.PriorityNormal
	}
	for tag, text := range m.Languages {
		kept := target.LanguageTag(tag)
		if out.Languages[kept] != nil {
			return nil, invalid("message.languages."+tag, "the language stands twice")
		}
		out.Languages[kept] = &record.Text{Title: text.Title, Body: text.Body, Link: text.Link, Image: text.Image}
	}
	return out, nil
}
