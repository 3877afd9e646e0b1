package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// sendTable holds one row a send, for lists and look-ups: partition project
// and month, newest first. The rows follow from the records of sends, and are
// written by their follower, many at a time and beside the requests. Whoever
// made a send with a forecast writes that, which no record holds.
const sendTable = "send_list"

// sendLife is how long a send is listed after it was due.
const sendLife = 400 * 24 * time.Hour

// sendRow is what stays of a request once it is accepted.
type sendRow struct {
	ID          tocsin.SendID      `json:"id"`
	Name        string             `json:"name,omitempty"`
	Environment tocsin.Environment `json:"environment"`
	Class       tocsin.Class       `json:"class"`
	Accepted    int64              `json:"accepted"` // Unix nanoseconds
	Due         int64              `json:"due"`
	Scheduled   bool               `json:"scheduled,omitempty"`
	Shards      []tocsin.Shard     `json:"shards,omitempty"`    // that can hold a recipient; empty: all
	Cancelled   int64              `json:"cancelled,omitempty"` // when its cancel was durable
	Rate        int                `json:"rate,omitempty"`      // that it began with, pushes a minute
	Forecast    *client.Forecast   `json:"forecast,omitempty"`
}

func sendPlace(project tocsin.ProjectID, month time.Time) store.Place {
	return store.Place{Table: sendTable, Partition: project.String() + "/" + month.UTC().Format("2006-01")}
}

// newestFirst is a row's key: the identifier turned around, since scans only
// ascend.
func newestFirst[I ~[16]byte](id I) string {
	for i := range id {
		id[i] = ^id[i]
	}
	return fmt.Sprintf("%x", id[:])
}

func rowOf(e *record.Envelope, shards int) (tocsin.ProjectID, *sendRow) {
	send, scope := e.GetSend(), record.Of(e)
	row := &sendRow{ID: tocsin.SendID(send.Send), Name: send.Name, Environment: scope.Environment, Class: scope.Class,
		Accepted: send.Accepted, Due: send.Due, Scheduled: send.Scheduled, Rate: int(send.GetSteer().GetRate())}
	if len(send.Query) == 0 {
		touched := make([]bool, shards)
		for _, r := range send.Recipients {
			touched[tocsin.ShardOf(scope.Project, r.Profile, shards)] = true
		}
		for i, t := range touched {
			if t || audience.StoredOn(send.Stored, tocsin.Shard(i)) > 0 {
				row.Shards = append(row.Shards, tocsin.Shard(i))
			}
		}
	}
	return scope.Project, row
}

// touched lists the shards that the send can have a recipient on.
func (r *sendRow) touched(shards int) []tocsin.Shard {
	if len(r.Shards) > 0 {
		return r.Shards
	}
	all := make([]tocsin.Shard, shards)
	for i := range all {
		all[i] = tocsin.Shard(i)
	}
	return all
}

// home is the shard whose log of sends holds the send.
func (r *sendRow) home(project tocsin.ProjectID, shards int) tocsin.Shard {
	return tocsin.ShardOf(project, r.ID.String(), shards)
}

// Versions of a row: what the log alone tells never takes the place of more.
const (
	listed = 1 + iota
	listedForecast
	listedCancelled
)

// listing reads and writes the rows.
type listing struct{ store store.Store }

func (l listing) put(ctx context.Context, project tocsin.ProjectID, row *sendRow) error {
	w, err := row.write()
	if err != nil {
		return err
	}
	return l.store.Write(ctx, sendPlace(project, row.ID.Time()), w)
}

func (row *sendRow) write() (store.Write, error) {
	value, err := json.Marshal(row)
	w := store.Write{Key: newestFirst(row.ID), Value: value, Version: listed, Expires: fromNanos(row.Due).Add(sendLife)}
	switch {
	case row.Cancelled != 0:
		w.Version = listedCancelled
	case row.Forecast != nil:
		w.Version = listedForecast
	}
	return w, err
}

// listTime bounds the wait for the rows of what is in the log.
const listTime = 2 * time.Second

// caughtUp returns once what is in the logs of sends of some shards now is
// listed.
func (s *Server) caughtUp(ctx context.Context, shards ...tocsin.Shard) error {
	ctx, stop := context.WithTimeout(ctx, listTime)
	defer stop()
	for _, shard := range shards {
		end, err := s.Journal.End(ctx, journal.Partition{Topic: journal.Sends, Shard: shard})
		if err == nil {
			err = s.followers[shard].await(ctx, end)
		}
		if err != nil {
			return unavailable()
		}
	}
	return nil
}

// listed is the row of a send of this project that is in its log by now.
func (s *Server) listed(ctx context.Context, project tocsin.ProjectID, id tocsin.SendID) (*sendRow, error) {
	row, err := s.listing.get(ctx, project, id)
	if !isNotFound(err) {
		return row, err
	}
	if err := s.caughtUp(ctx, (&sendRow{ID: id}).home(project, s.Shards)); err != nil {
		return nil, err
	}
	return s.listing.get(ctx, project, id)
}

// get returns the row of a send of this project; another project's send is
// not there.
func (l listing) get(ctx context.Context, project tocsin.ProjectID, id tocsin.SendID) (*sendRow, error) {
	found, err := l.store.Get(ctx, sendPlace(project, id.Time()), newestFirst(id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, notFound("send")
	}
	if err != nil {
		return nil, err
	}
	row := new(sendRow)
	return row, json.Unmarshal(found.Value, row)
}

// page returns up to limit sends older than before (zero: the newest), down to
// the month in which the project was made.
func (l listing) page(ctx context.Context, project tocsin.ProjectID, before tocsin.SendID, now time.Time, limit int) ([]*sendRow, error) {
	from, at := "", now.UTC()
	if !before.IsZero() {
		from = newestFirst(before) + "\x00"
		if t := before.Time().UTC(); t.Before(at) {
			at = t
		}
	}
	oldest := project.Time().UTC()
	if floor := now.Add(-sendLife).UTC(); floor.After(oldest) {
		oldest = floor
	}
	oldest = time.Date(oldest.Year(), oldest.Month(), 1, 0, 0, 0, 0, time.UTC)
	var rows []*sendRow
	for month := time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC); !month.Before(oldest); month = month.AddDate(0, -1, 0) {
		found, err := l.store.Scan(ctx, sendPlace(project, month), from, "", limit-len(rows))
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			row := new(sendRow)
			if err := json.Unmarshal(r.Value, row); err != nil {
				return nil, err
			}
			rows = append(rows, row)
		}
		if from = ""; len(rows) >= limit {
			break
		}
	}
	return rows, nil
}
