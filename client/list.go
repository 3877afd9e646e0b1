package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ListMode is what an upload does to a list.
type ListMode string

const (
	ListReplace ListMode = "replace" // the list is what the stream holds, from one moment on
	ListAdd     ListMode = "add"
	ListRemove  ListMode = "remove"
)

// ListEntry is a line of a list: a user or a subscription. In CSV the columns
// are user and id.
type ListEntry struct {
	User string `json:"user,omitempty" maxLength:"256"`
	ID   string `json:"id,omitempty" doc:"Of a subscription"`
}

// List is an uploaded set of people and subscriptions.
type List struct {
	Name      string    `json:"name"`
	Entries   int64     `json:"entries"`
	Known     int64     `json:"known" doc:"Entries whose user or subscription was seen by now; the others count from when they are"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at" doc:"When an upload ended last"`
}

// Lists are all of a project, by name.
type Lists struct {
	Lists []List `json:"lists"`
}

func listPath(name string) string { return "/v1/lists/" + url.PathEscape(name) }

// Lists reads all lists of the project.
func (c *Client) Lists(ctx context.Context) (l Lists, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/lists"}, &l)
	return l, err
}

// List reads one list.
func (c *Client) List(ctx context.Context, name string) (l List, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: listPath(name)}, &l)
	return l, err
}

// OpenList opens an upload to a list, which is made when there is none. Upload
// sends its stream. confirm lets a replacement be much smaller than the list.
func (c *Client) OpenList(ctx context.Context, name string, mode ListMode, r ImportRequest, confirm bool) (i Import, err error) {
	one := call{method: http.MethodPost, path: listPath(name), body: r, query: url.Values{"confirm": {strconv.FormatBool(confirm)}}, once: true}
	if mode == ListReplace {
		one.method = http.MethodPut
	} else {
		one.query = url.Values{"mode": {string(mode)}}
	}
	err = c.do(ctx, one, &i)
	return i, err
}

// DeleteList deletes a list.
func (c *Client) DeleteList(ctx context.Context, name string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: listPath(name)}, nil)
}
