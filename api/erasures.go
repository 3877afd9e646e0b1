package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// erasureTable holds one row an erasure, for lists and look-ups: partition
// project, newest first; and until it is done one in partition "pending", which
// alone says who is erased.
const erasureTable = "erasure"

const (
	erasureLife = 400 * 24 * time.Hour // that an erasure is listed
	pendingAt   = "pending"

	// eraseAfter is how long the person may stay on the disk before it is erased
	// from there; the law leaves a day, and sends that name it have to end first.
	eraseAfter = 12 * time.Hour
)

// erasureRow is an erasure, and where the records that made it end.
type erasureRow struct {
	ID      tocsin.ErasureID `json:"id"`
	Project tocsin.ProjectID `json:"project"`
	Created int64            `json:"created"` // Unix nanoseconds, as are the next two
	Due     int64            `json:"due"`
	Done    int64            `json:"done,omitempty"`
	Person  *Erasing         `json:"person,omitempty"`
	Version uint64           `json:"-"`
}

// Versions of a row, in the one place and in the other, after the first.
const (
	listedDone       = 2
	pendingForgotten = 2
	pendingDone      = 3
)

// Erasing is a person to be taken off the disk. The record that says so is
// durable in changes.
type Erasing struct {
	Project tocsin.ProjectID
	Person  *record.Erase
	Sends   []uint64 // by shard, where it ends in sends
}

func erasurePlace(partition string) store.Place {
	return store.Place{Table: erasureTable, Partition: partition}
}

func (r *erasureRow) write() store.Write {
	value, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers only
	}
	return store.Write{Key: newestFirst(r.ID), Value: value, Version: r.Version, Expires: fromNanos(r.Created).Add(erasureLife)}
}

type ErasurePath struct {
	Erasure tocsin.ErasureID `path:"erasure"`
}

func (s *Server) erasureRoutes() {
	write, read := access{scope: account.Audience}, access{scope: account.Read}
	const path = "/v1/erasures/{erasure}"
	route(s, operation{id: "create-erasure", method: http.MethodPost, path: "/v1/erasures", tag: "Erasures", status: http.StatusAccepted,
		summary: "Erase a person: out of every answer at once, off the disk within 24 hours", need: write}, s.createErasure)
	route(s, operation{id: "list-erasures", method: http.MethodGet, path: "/v1/erasures", tag: "Erasures",
		summary: "List erasures, newest first", need: read}, s.listErasures)
	route(s, operation{id: "get-erasure", method: http.MethodGet, path: path, tag: "Erasures",
		summary: "How far an erasure is", need: read}, s.getErasure)
	route(s, operation{id: "follow-erasure", method: http.MethodGet, path: path + "/events", tag: "Erasures", stream: true, events: client.Erasure{},
		summary: "Follow an erasure as server-sent events, until it is done", need: read}, s.followErasure)
}

// erased is the profile key of whom a request means.
func (s *Server) erased(ctx context.Context, project tocsin.ProjectID, r *client.ErasureRequest) (string, error) {
	switch {
	case (r.User == "") == r.Subscription.IsZero():
		return "", invalid("user", "give a user, or a subscription")
	case !utf8.ValidString(r.User):
		return "", invalid("user", "not valid UTF-8")
	case r.User != "":
		return audience.UserKey(r.User), nil
	}
	if err := s.fresh(ctx); err != nil {
		return "", err
	}
	found, _, ok, err := s.find(ctx, project, r.Subscription)
	if ok && found.Live {
		return found.Profile, err
	}
	return audience.AnonymousKey(r.Subscription), err
}

// createErasure may be repeated when its answer was lost: a second one finds
// nobody.
func (s *Server) createErasure(ctx context.Context, in *body[client.ErasureRequest]) (*body[client.Erasure], error) {
	project, now := caller(ctx).Project, s.Now()
	key, err := s.erased(ctx, project, &in.Body)
	if err != nil {
		return nil, err
	}
	e := &record.Erase{Profile: key}
	all := make([][]tocsin.SubscriptionID, s.Shards)
	if err := s.Ask.All(func(shard tocsin.Shard) (err error) {
		all[shard], err = s.Ask[shard].EverOf(ctx, project, key)
		return err
	}); err != nil {
		return nil, err
	}
	for _, ids := range all {
		for _, id := range ids {
			e.Subscriptions = append(e.Subscriptions, id.Bytes())
		}
	}
	// Lists on every shard may hold subscriptions of the person's.
	if err := s.changeAll(ctx, &record.Change{Change: &record.Change_Erase{Erase: e}}); err != nil {
		return nil, err
	}
	person := &Erasing{Project: project, Person: e}
	for i, to := range s.sends {
		if err := to.append(ctx, &record.Envelope{Body: &record.Envelope_Erase{Erase: e}}, now, scope(ctx, 0)); err != nil {
			return nil, err
		}
		end, err := s.Journal.End(ctx, journal.Partition{Topic: journal.Sends, Shard: tocsin.Shard(i)})
		if err != nil {
			return nil, err
		}
		person.Sends = append(person.Sends, uint64(end))
	}
	row := &erasureRow{Project: project, Created: now.UnixNano(), Due: now.Add(eraseAfter).UnixNano(), Version: 1}
	if in.Body.Now {
		row.Due = row.Created
	}
	if row.ID, err = newID[tocsin.ErasureID](s.Random, now); err != nil {
		return nil, err
	}
	if err := s.Store.Write(ctx, erasurePlace(project.String()), row.write()); err != nil {
		return nil, err
	}
	pending := *row
	pending.Person = person
	if err := s.Store.Write(ctx, erasurePlace(pendingAt), pending.write()); err != nil {
		return nil, err
	}
	s.eraser.wake()
	if err := s.fresh(ctx); err != nil {
		return nil, err
	}
	return &body[client.Erasure]{s.erasure(row)}, nil
}

// erasure is a row as it is shown.
func (s *Server) erasure(r *erasureRow) client.Erasure {
	out := client.Erasure{ID: r.ID, Status: client.ErasurePending, CreatedAt: fromNanos(r.Created), DueAt: fromNanos(r.Due)}
	switch step, erasing := s.eraser.doing(r.ID); {
	case r.Done != 0:
		out.Status, out.DoneAt = client.ErasureDone, fromNanos(r.Done)
	case erasing:
		out.Status, out.Step = client.ErasureErasing, step
	}
	return out
}

func (s *Server) listErasures(ctx context.Context, in *struct {
	Before tocsin.ErasureID `query:"before" doc:"Older than this one"`
	Limit  int              `query:"limit" minimum:"1" maximum:"100" default:"50"`
}) (*body[client.Erasures], error) {
	from := ""
	if !in.Before.IsZero() {
		from = newestFirst(in.Before) + "\x00"
	}
	found, err := s.Store.Scan(ctx, erasurePlace(caller(ctx).Project.String()), from, "", in.Limit)
	if err != nil {
		return nil, err
	}
	out := &body[client.Erasures]{client.Erasures{Erasures: []client.Erasure{}}}
	for _, f := range found {
		row := new(erasureRow)
		if err := json.Unmarshal(f.Value, row); err != nil {
			return nil, err
		}
		out.Body.Erasures = append(out.Body.Erasures, s.erasure(row))
	}
	if len(found) == in.Limit {
		out.Body.Next = out.Body.Erasures[len(found)-1].ID.String()
	}
	return out, nil
}

func (s *Server) findErasure(ctx context.Context, project tocsin.ProjectID, id tocsin.ErasureID) (client.Erasure, error) {
	found, err := s.Store.Get(ctx, erasurePlace(project.String()), newestFirst(id))
	if errors.Is(err, store.ErrNotFound) {
		return client.Erasure{}, notFound("erasure")
	}
	row := new(erasureRow)
	if err == nil {
		err = json.Unmarshal(found.Value, row)
	}
	return s.erasure(row), err
}

func (s *Server) getErasure(ctx context.Context, in *ErasurePath) (*body[client.Erasure], error) {
	out, err := s.findErasure(ctx, caller(ctx).Project, in.Erasure)
	return &body[client.Erasure]{out}, err
}

func (s *Server) followErasure(ctx context.Context, in *ErasurePath) (*huma.StreamResponse, error) {
	project := caller(ctx).Project
	if _, err := s.findErasure(ctx, project, in.Erasure); err != nil {
		return nil, err
	}
	return s.follow(project, func(ctx context.Context) (any, bool, error) {
		now, err := s.findErasure(ctx, project, in.Erasure)
		return now, now.Status == client.ErasureDone, err
	})
}

// withhold takes the reasons of bad lines away that quote what stood in them:
// it may be what somebody who is erased had there.
func (m *imports) withhold(ctx context.Context, project tocsin.ProjectID) error {
	rows, err := store.All(ctx, m.store, importPlace(project), "", "")
	if err != nil {
		return err
	}
	for _, found := range rows {
		row := new(importRow)
		if err := json.Unmarshal(found.Value, row); err != nil {
			return err
		}
		if !slices.ContainsFunc(row.BadLines, client.BadLine.Quotes) {
			continue
		}
		for i := range row.BadLines {
			if row.BadLines[i].Quotes() {
				row.BadLines[i].Reason = "withheld, as somebody was erased since"
			}
		}
		row.version = found.Version
		row.touch(row.UpdatedAt)
		if err := m.put(ctx, project, row); err != nil {
			return err
		}
	}
	return nil
}
