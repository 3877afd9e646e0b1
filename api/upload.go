package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// upload is an import whose lines are entries of a list.
type upload struct {
	server  *Server
	project tocsin.ProjectID
	row     importRow // as it began
}

// entryHeader reads the header of a CSV stream of entries.
func entryHeader(header []string) ([]column, error) {
	var columns []column
	for _, title := range header {
		title = strings.TrimSpace(strings.TrimPrefix(title, "\ufeff"))
		if title != "user" && title != "id" {
			return nil, wrong(title, "unknown column: the first line names the columns, user or id or both")
		}
		if slices.Contains(columns, column{field: title}) {
			return nil, wrong(title, "column stands twice")
		}
		columns = append(columns, column{field: title})
	}
	return columns, nil
}

// parse reads the lines of a piece. People go to their shard, subscriptions to
// all: nobody knows where those that are not known yet will be.
func (u *upload) parse(p *piece, columns []column) {
	step := uint32(audience.ListAdd)
	if u.row.Mode == client.ListRemove {
		step = audience.ListRemove
	}
	type part struct {
		change *record.Change
		size   int
	}
	open := make([]part, u.server.Shards)
	room := func(shard tocsin.Shard, size int) *record.ListUpdate {
		now := &open[shard]
		if now.change == nil || now.size+size > bundleBytes {
			u.close(p, shard, now.change)
			now.change, now.size = listStep(&u.row, step), 0
		}
		now.size += size
		return now.change.GetList()
	}
	var fields []string
	for _, s := range p.lines {
		line := p.data[s.from:s.to]
		if s.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // as some programs begin a file
		}
		user, id, err := u.entry(line, s.long, columns, &fields)
		switch {
		case err != nil:
			p.refuse(s, err)
			continue
		case user != "":
			const frame = 4 // tag and length
			list := room(tocsin.ShardOf(u.project, audience.UserKey(user), u.server.Shards), len(user)+frame)
			list.Users = append(list.Users, user)
		default:
			for shard := range u.server.Shards {
				list := room(tocsin.Shard(shard), len(id))
				list.Subscriptions = append(list.Subscriptions, id[:]...)
			}
		}
		p.imported++
	}
	for shard, last := range open {
		u.close(p, tocsin.Shard(shard), last.change)
	}
	p.data, p.lines = nil, nil
}

// close makes a record of entries that were gathered; nil is none.
func (u *upload) close(p *piece, shard tocsin.Shard, c *record.Change) {
	if c == nil {
		return
	}
	data, err := (&record.Changes{Changes: []*record.Change{c}}).MarshalVT()
	if err != nil {
		panic(err) // bytes and strings only
	}
	p.changes.ready = append(p.changes.ready, &shardChanges{shard: shard, count: 1, changes: data})
}

// entry reads a line: a user or a subscription.
func (u *upload) entry(line []byte, long bool, columns []column, fieldsOf *[]string) (user string, id tocsin.SubscriptionID, err error) {
	text := ""
	take := func(name, value string) {
		if name == "user" {
			user = value
		} else {
			text = value
		}
	}
	switch {
	case long:
		return "", id, wrong("", "longer than %d bytes", u.server.Line)
	case !utf8.Valid(line):
		return "", id, wrong("", "not valid UTF-8")
	case columns != nil:
		if *fieldsOf, err = fields(line, (*fieldsOf)[:0]); err != nil {
			return "", id, err
		}
		if len(*fieldsOf) != len(columns) {
			return "", id, wrong("", "%d fields where the header has %d", len(*fieldsOf), len(columns))
		}
		for i, c := range columns {
			take(c.field, (*fieldsOf)[i])
		}
	default:
		s := scanner{body: line, depth: 1, values: 4}
		s.space()
		err = s.object(0, func(name string) error {
			if name != "user" && name != "id" {
				return wrong(name, "unknown field")
			}
			value, err := s.text()
			if err != nil || value == "" {
				return wrong(name, "want a string")
			}
			take(name, value)
			return nil
		})
		if s.space(); err == nil && s.at != len(line) {
			err = wrong("", "something follows the object")
		}
		if err != nil {
			return "", id, err
		}
	}
	switch {
	case user != "" && text != "":
		return "", id, wrong("", "give user or id, not both")
	case user == "" && text == "":
		return "", id, wrong("", "give user or id")
	case len(user) > maxUser:
		return "", id, wrong("user", "want 1 to %d bytes", maxUser)
	case text != "" && id.UnmarshalText([]byte(text)) != nil:
		return "", id, wrong("id", "want the id of a subscription")
	}
	return user, id, nil
}

// fits refuses to go on with a list that is too long. What is not applied yet
// may make it longer.
func (u *upload) fits(ctx context.Context) error {
	all, err := u.server.Ask.Lists(ctx, u.project, u.row.List)
	if err != nil {
		return err
	}
	list, draft := listSizes(all, u.row.List, u.row.ListID)
	if u.row.Mode == client.ListReplace {
		list = draft
	}
	if u.row.Mode != client.ListRemove && list.entries > int64(u.server.Entries) {
		return fail(http.StatusUnprocessableEntity, "limit", fmt.Sprintf("a list has at most %d entries", u.server.Entries))
	}
	return nil
}

// end is what follows the last line: what was uploaded takes the place of the
// list, and the row says when.
func (u *upload) end(ctx context.Context) error {
	if err := u.server.fresh(ctx); err != nil {
		return err
	}
	if err := u.fits(ctx); err != nil {
		return err
	}
	if u.row.Mode == client.ListReplace {
		if err := u.replace(ctx); err != nil {
			return err
		}
	}
	for {
		row, stored, err := u.server.listRow(ctx, u.project, u.row.List)
		if isNotFound(err) || err == nil && row.ID != u.row.ListID {
			return fail(http.StatusConflict, "conflict", "the list was deleted meanwhile")
		} else if err != nil {
			return err
		}
		if at := u.server.Now().UTC(); at.After(row.UpdatedAt) {
			row.UpdatedAt = at
		}
		value, err := json.Marshal(row)
		if err != nil {
			return err
		}
		done, _, err := u.server.Store.PutIf(ctx, listPlace(u.project), u.row.List, stored, value, time.Time{})
		if done || err != nil && !errors.Is(err, store.ErrAmbiguous) {
			return err
		}
	}
}

// replace lets the draft take the place of the list, unless it looks like
// another file: one that makes the list, or those of it whom anybody has seen,
// less than half, is asked about.
func (u *upload) replace(ctx context.Context) error {
	begun := false
	all, err := u.server.Ask.Lists(ctx, u.project, u.row.List)
	if err != nil {
		return err
	}
	for _, lists := range all {
		l, ok := lists[u.row.List]
		switch {
		case !ok || l.ID != u.row.ListID:
			return fail(http.StatusConflict, "conflict", "the list was deleted meanwhile")
		case l.Placed == u.row.ID:
			begun = true // what was asked is answered
		case l.Upload != u.row.ID:
			return fail(http.StatusConflict, "conflict", "this upload was given up: another one began to replace the list, or it stood still for a day")
		}
	}
	was, now := listSizes(all, u.row.List, u.row.ListID)
	if !begun && !u.row.Confirm && (2*now.entries < was.entries || 2*now.known < was.known) {
		return fail(http.StatusConflict, "confirm", fmt.Sprintf("the stream of %s has %d entries, of which %d are known; the list has %d, of which %d are known. "+
			"Nothing was replaced: is it the right file? To go on, confirm", u.row.ID, now.entries, now.known, was.entries, was.known))
	}
	return u.server.changeAll(ctx, listStep(&u.row, audience.ListReplace))
}
