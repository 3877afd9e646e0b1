package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/tocsin-push/tocsin"
)

// ErasureRequest names a person to be erased: by user, or by a subscription that
// is nobody's.
type ErasureRequest struct {
	User         string                `json:"user,omitempty" maxLength:"256" doc:"Your identifier of the person"`
	Subscription tocsin.SubscriptionID `json:"subscription,omitzero" doc:"Instead of a user; its person is erased, with all subscriptions, when it has one"`
	Now          bool                  `json:"now,omitempty" doc:"Take what is left of the person off the disk at once, not within 24 hours"`
}

// Erasure is how far the erasing of a person is. It is out of every answer from
// the beginning.
type Erasure struct {
	ID        tocsin.ErasureID `json:"id"`
	Status    ErasureStatus    `json:"status"`
	Step      string           `json:"step,omitempty" doc:"What is being done, while it is erased from the disk"`
	CreatedAt time.Time        `json:"created_at"`
	DueAt     time.Time        `json:"due_at" doc:"When erasing from the disk begins at the latest"`
	DoneAt    time.Time        `json:"done_at,omitzero"`
}

// ErasureStatus is where an erasure stands.
type ErasureStatus string

const (
	ErasurePending ErasureStatus = "pending" // out of answers; snapshots and logs may still hold it
	ErasureErasing ErasureStatus = "erasing" // from snapshots, logs and tables
	ErasureDone    ErasureStatus = "done"    // nothing is left
)

// Erasures is a page of erasures, newest first.
type Erasures struct {
	Erasures []Erasure `json:"erasures"`
	Next     string    `json:"next,omitempty" doc:"Give it as before for the next page"`
}

// Person is all that is known of a person.
type Person struct {
	User          string              `json:"user,omitempty"`
	Attributes    map[string]Value    `json:"attributes,omitempty" doc:"Set on the person, for every device"`
	Tags          map[string][]string `json:"tags,omitempty"`
	Lists         []string            `json:"lists,omitempty" doc:"That the person stands in"`
	Events        []PersonalEvent     `json:"events,omitempty"`
	Subscriptions []PersonalDevice    `json:"subscriptions"`
}

// PersonalEvent is what somebody did under one name.
type PersonalEvent struct {
	Name    string        `json:"name"`
	Count   int           `json:"count" doc:"Ever, up to 65,535"`
	FirstAt time.Time     `json:"first_at"`
	LastAt  time.Time     `json:"last_at"`
	Days    []PersonalDay `json:"days,omitempty" doc:"As far back as days are counted"`
}

// PersonalDay is a day of UTC.
type PersonalDay struct {
	Day    string             `json:"day" doc:"As in 2026-11-23"`
	Times  int                `json:"times"`
	Fields []map[string]Value `json:"fields,omitempty" doc:"Of the times that had any, as far back as fields are kept"`
}

// PersonalDevice is a subscription of a person with its address.
type PersonalDevice struct {
	Known
	CreatedAt time.Time `json:"created_at,omitzero"`
	Token     string    `json:"token,omitempty" doc:"APNs: device token in hexadecimal. FCM: registration token"`
	Endpoint  string    `json:"endpoint,omitempty" doc:"Web Push: URL of the subscription"`
	P256DH    string    `json:"p256dh,omitempty" doc:"Web Push: public key of the browser, base64url"`
	Auth      string    `json:"auth,omitempty" doc:"Web Push: authentication secret, base64url"`
}

// Erase erases a person.
func (c *Client) Erase(ctx context.Context, r ErasureRequest) (e Erasure, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/erasures", body: r}, &e)
	return e, err
}

// GetErasure tells how far an erasure is.
func (c *Client) GetErasure(ctx context.Context, id tocsin.ErasureID) (e Erasure, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: erasurePath(id)}, &e)
	return e, err
}

// Erasures reads a page of erasures older than one, newest first.
func (c *Client) Erasures(ctx context.Context, before tocsin.ErasureID, limit int) (e Erasures, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/erasures", query: paging("before", before.String(), limit)}, &e)
	return e, err
}

// WatchErasure yields an erasure whenever it has moved, until it is done.
func (c *Client) WatchErasure(ctx context.Context, id tocsin.ErasureID) iter.Seq2[Erasure, error] {
	return watch[Erasure](ctx, c, erasurePath(id)+"/events")
}

// Export reads all that is known of a person.
func (c *Client) Export(ctx context.Context, user string) (p Person, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/profiles/" + url.PathEscape(user) + "/export"}, &p)
	return p, err
}

func erasurePath(id tocsin.ErasureID) string { return "/v1/erasures/" + id.String() }
