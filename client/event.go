package client

import (
	"context"
	"net/http"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Event is something that a person did, once. It counts for all subscriptions of
// the person, those to come included.
type Event struct {
	User         string                `json:"user,omitempty" maxLength:"256" doc:"Who did it: your identifier of the person, or give subscription. A device gives neither"`
	Subscription tocsin.SubscriptionID `json:"subscription,omitzero"`
	Name         string                `json:"name" pattern:"^[a-z0-9_]{1,64}$"`
	Time         time.Time             `json:"time,omitzero" doc:"When it happened, at most 35 days ago and 5 minutes ahead; now when absent"`
	Fields       map[string]Value      `json:"fields,omitempty" maxProperties:"20" doc:"Text of at most 1,024 bytes, numbers, booleans and times"`
	ID           string                `json:"id,omitempty" minLength:"1" maxLength:"128" doc:"Of this event, by whoever tells of it: one that is told again for the same user or subscription changes nothing, on that day (UTC) and the next"`
	Send         tocsin.SendID         `json:"send,omitzero" doc:"With displayed and opened: the send that was"`
}

// EventBatch is up to 10,000 events, 100 from a device.
type EventBatch struct {
	Events []Event `json:"events" minItems:"1" maxItems:"10000"`
}

// EventResult says what became of each: the good ones are durable, whatever the
// bad ones are.
type EventResult struct {
	Accepted int          `json:"accepted" doc:"Those that had been told before included"`
	Errors   []BatchError `json:"errors,omitempty"`
}

// PutEvents tells what people did. Events with an ID may be told again.
func (c *Client) PutEvents(ctx context.Context, b EventBatch) (out EventResult, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/events", body: b, once: !b.repeatable()}, &out)
	return out, err
}

// DeviceEvents tells what the person of an install did.
func (c *Client) DeviceEvents(ctx context.Context, d Device, b EventBatch) (out EventResult, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: devicePath(d) + "/events", body: b, header: installed(d), once: !b.repeatable()}, &out)
	return out, err
}

// repeatable reports whether telling all of them again changes nothing.
func (b *EventBatch) repeatable() bool {
	for i := range b.Events {
		if b.Events[i].ID == "" {
			return false
		}
	}
	return true
}

// OpenEventImport opens an import of events whose stream Upload sends.
func (c *Client) OpenEventImport(ctx context.Context, r ImportRequest) (i Import, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/events/imports", body: r, once: true}, &i)
	return i, err
}
