package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
)

// NameKind is what a name in the catalogue stands for. One name may stand for one
// of each.
type NameKind string

const (
	AttributeName NameKind = "attributes"
	TagSetName    NameKind = "tags"
	EventName     NameKind = "events"
)

// Catalogue is the names that a project uses, and what is under them.
type Catalogue struct {
	Subscriptions int64       `json:"subscriptions" doc:"Live ones of the project"`
	Ceilings      Ceilings    `json:"ceilings"`
	Attributes    []NameInUse `json:"attributes"`
	Tags          []NameInUse `json:"tags" doc:"Sets of tags"`
	Events        []NameInUse `json:"events"`
}

// Ceilings are the most that a project may have.
type Ceilings struct {
	Attributes   int `json:"attributes"`
	Tags         int `json:"tags" doc:"Sets of tags"`
	Events       int `json:"events"`
	ProfileBytes int `json:"profile_bytes" doc:"Values and tags of a person, or of a subscription"`
}

// NameInUse is an attribute, a set of tags or an event.
type NameInUse struct {
	Name          string           `json:"name"`
	Type          string           `json:"type,omitempty" doc:"Of an attribute: text, number, boolean, time, url or location"`
	Subscriptions int64            `json:"subscriptions" doc:"Live ones that have a value, or a tag; not told of events"`
	Coverage      float64          `json:"coverage" doc:"The part of all live subscriptions that those are, from 0 to 1"`
	Distinct      int64            `json:"distinct" doc:"Different values"`
	Exact         bool             `json:"exact" doc:"Distinct and counts are exact, but for what changes meanwhile. Else distinct is wrong by about 2 %, and of numbers, times and places that nearly all differ no value is told"`
	Top           []ValueCount     `json:"top,omitempty" doc:"The most frequent values, or tags"`
	OtherTypes    map[string]int64 `json:"other_types,omitempty" doc:"Live subscriptions with a value of another type, which an older build took"`
	FirstSeen     time.Time        `json:"first_seen,omitzero" doc:"Absent when it was there before there was a catalogue"`
	FirstBy       *NameWriter      `json:"first_by,omitempty" doc:"Who brought it, and fixed its type"`
	LastSeen      time.Time        `json:"last_seen,omitzero" doc:"The day on which it was last written, in UTC; absent when it was not since there is a catalogue"`
	Writers       []NameWriter     `json:"writers,omitempty" doc:"Who writes it: at most 8, the others go uncounted while those do"`
}

// ValueCount is a value with the number of live subscriptions that have it.
type ValueCount struct {
	Value Value `json:"value"`
	Count int64 `json:"count"`
}

// NameWriter is who writes a name, and by which way in.
type NameWriter struct {
	Via      string       `json:"via" enum:"server,import,device"`
	Key      tocsin.KeyID `json:"key,omitzero" doc:"Absent for devices"`
	KeyName  string       `json:"key_name,omitempty"`
	LastSeen time.Time    `json:"last_seen,omitzero" doc:"The day, in UTC"`
}

// NameRename asks for another name.
type NameRename struct {
	To string `json:"to" minLength:"1" maxLength:"64" pattern:"^[a-z0-9_]+$" doc:"Not in use"`
}

// NameChanged tells what was renamed or deleted, on every shard.
type NameChanged struct {
	Name          string    `json:"name"`
	To            string    `json:"to,omitempty" doc:"Absent when it was deleted"`
	Subscriptions int64     `json:"subscriptions" doc:"Live ones that had a value"`
	Segments      []string  `json:"segments,omitempty" doc:"Whose definitions ask for the old name, and find nobody by it until they are changed"`
	Waiting       []NamedBy `json:"waiting,omitempty" doc:"Scheduled sends whose targets ask for the old name, and will find nobody by it; those accepted in the last seconds may be missing"`
}

// NamedBy is a send whose target asks for a name.
type NamedBy struct {
	Send tocsin.SendID `json:"send"`
	Name string        `json:"name,omitempty" doc:"Of the send"`
	Due  time.Time     `json:"due"`
}

// Catalogue reads the names that a project uses, with so many values of each.
func (c *Client) Catalogue(ctx context.Context, top int) (out Catalogue, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/catalogue", query: url.Values{"top": {strconv.Itoa(top)}}}, &out)
	return out, err
}

func namePath(kind NameKind, name string) string {
	return "/v1/catalogue/" + string(kind) + "/" + url.PathEscape(name)
}

// Name reads one name, with so many values.
func (c *Client) Name(ctx context.Context, kind NameKind, name string, top int) (out NameInUse, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: namePath(kind, name), query: url.Values{"top": {strconv.Itoa(top)}}}, &out)
	return out, err
}

// DeleteName takes an attribute or a set of tags away from everybody.
func (c *Client) DeleteName(ctx context.Context, kind NameKind, name string) (out NameChanged, err error) {
	err = c.do(ctx, call{method: http.MethodDelete, path: namePath(kind, name)}, &out)
	return out, err
}

// RenameName gives an attribute or a set of tags another name, for everybody.
func (c *Client) RenameName(ctx context.Context, kind NameKind, name, to string) (out NameChanged, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: namePath(kind, name) + "/rename", body: NameRename{to}}, &out)
	return out, err
}
