package api

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

type SendPath struct {
	Send tocsin.SendID `path:"send"`
}

func (s *Server) sendRoutes() {
	write, read := access{scope: account.Send}, access{scope: account.Read}
	route(s, operation{id: "create-send", method: http.MethodPost, path: "/v1/sends", tag: "Sends",
		summary: "Send a message now or at a time", status: http.StatusAccepted, need: write}, s.createSend)
	route(s, operation{id: "list-sends", method: http.MethodGet, path: "/v1/sends", tag: "Sends",
		summary: "List sends, newest first", need: read}, s.listSends)
	route(s, operation{id: "get-send", method: http.MethodGet, path: "/v1/sends/{send}", tag: "Sends",
		summary: "Read a send with its counters", need: read}, s.getSend)
	route(s, operation{id: "cancel-send", method: http.MethodPost, path: "/v1/sends/{send}/cancel", tag: "Sends", limit: -1,
		summary: "Cancel what has not left yet", need: write}, s.cancelSend)
	route(s, operation{id: "steer-send", method: http.MethodPatch, path: "/v1/sends/{send}", tag: "Sends",
		summary: "Change the rate of a send, pause or resume it", need: write}, s.steerSend)
	route(s, operation{id: "follow-send", method: http.MethodGet, path: "/v1/sends/{send}/events", tag: "Sends", stream: true, events: client.Send{},
		summary: "Follow the counters as server-sent events, until the send has ended", need: read}, s.followSend)
	route(s, operation{id: "list-outcomes", method: http.MethodGet, path: "/v1/sends/{send}/outcomes", tag: "Sends", stream: true, lines: client.RecipientOutcome{},
		summary: "How every push of a send ended, once all have, one JSON object a line; a list that breaks off ends its connection", need: read}, s.sendOutcomes)
	route(s, operation{id: "trace-send", method: http.MethodGet, path: "/v1/sends/{send}/trace/{subscription}", tag: "Sends",
		summary: "What became of one subscription, and why", need: read}, s.traceSend)
}

// sendInput keeps the body's hash beside the body: an idempotency key belongs
// to one body, byte for byte.
type sendInput struct {
	DryRun bool `query:"dry_run" doc:"Check the request and tell what is to be expected; nothing is sent"`

	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Repeating the request with this key, within 24 hours at least, makes no second send"`
	Body client.SendRequest

	hash [32]byte
}

// Resolve sees the raw body once more; guard has read it into memory.
func (in *sendInput) Resolve(ctx huma.Context) []error {
	in.hash = sha256.Sum256(kept(ctx).all)
	return nil
}

type sendAnswer struct {
	Status   int    // 0 is accepted
	Location string `header:"Location"`
	Body     client.Send
}

// createSend is step 1 of a send's road: everything that can be wrong is said
// first; then the key, the mark and the one record.
func (s *Server) createSend(ctx context.Context, in *sendInput) (*sendAnswer, error) {
	c, now := caller(ctx), s.Now()
	id, err := newID[tocsin.SendID](s.Random, now)
	if err != nil {
		return nil, err
	}
	send, err := sendRecord(s.reader(ctx, c.Project), c.Project, id, now, &in.Body)
	if err != nil {
		return nil, err
	}
	send.Key = c.Key.String()
	if err := s.routeRecipients(ctx, c.Project, send.Recipients); err != nil {
		return nil, err
	}
	var sel ask.Target
	if len(send.Query) > 0 {
		sel.At = time.Unix(0, send.Due)
		if sel.Query, err = audience.Query(send.Query, send.Segments); err != nil {
			return nil, err
		}
		if _, err := s.afford(ctx, c.Project, sel, false); err != nil {
			return nil, err
		}
	}
	if in.DryRun {
		return s.dryRun(ctx, send, sel)
	}
	if s.Damaged() != nil {
		return nil, busy(http.StatusServiceUnavailable, "unavailable", "the storage is damaged, see /readyz; nothing was accepted", time.Minute)
	}
	if err := s.Full(); err != nil {
		return nil, err
	}
	if !send.Scheduled { // that one begins later
		if refusal, is := s.Crowded(c.Project, tocsin.Class(send.Options.Class)); is {
			return nil, crowded(refusal)
		}
	}
	// What is begun is finished, also for a client that hangs up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.RequestTime)
	defer cancel()
	row, err := s.accept(ctx, in, send)
	if err != nil {
		return nil, err
	}
	return &sendAnswer{http.StatusAccepted, "/v1/sends/" + row.ID.String(), sendBody(row)}, nil
}

func newID[I ~[16]byte](random io.Reader, now time.Time) (id I, err error) {
	var entropy [10]byte
	if _, err := io.ReadFull(random, entropy[:]); err != nil {
		return id, err
	}
	return tocsin.MakeID[I](now, entropy), nil
}

// sendBody is a send as lists show it.
func sendBody(row *sendRow) client.Send {
	out := client.Send{ID: row.ID, Name: row.Name, Environment: row.Environment, Class: row.Class, Status: client.SendAccepted,
		AcceptedAt: fromNanos(row.Accepted), DueAt: fromNanos(row.Due), Rate: row.Rate, Forecast: row.Forecast}
	if row.Scheduled {
		out.Status = client.SendScheduled
	}
	return out
}

func (s *Server) listSends(ctx context.Context, in *struct {
	Before tocsin.SendID `query:"before" doc:"Older than this one"`
	Limit  int           `query:"limit" minimum:"1" maximum:"100" default:"50"`
}) (*body[client.Sends], error) {
	if err := s.caughtUp(ctx, (&sendRow{}).touched(s.Shards)...); err != nil {
		return nil, err
	}
	rows, err := s.listing.page(ctx, caller(ctx).Project, in.Before, s.Now(), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &body[client.Sends]{client.Sends{Sends: []client.Send{}}}
	for _, row := range rows {
		one, err := s.state(ctx, caller(ctx).Project, row)
		if err != nil {
			return nil, err
		}
		one.Counters, one.Drift = nil, nil
		out.Body.Sends = append(out.Body.Sends, one)
	}
	if len(rows) == in.Limit {
		out.Body.Next = rows[len(rows)-1].ID.String()
	}
	return out, nil
}

func (s *Server) getSend(ctx context.Context, in *SendPath) (*body[client.Send], error) {
	row, err := s.listed(ctx, caller(ctx).Project, in.Send)
	if err != nil {
		return nil, err
	}
	out, err := s.state(ctx, caller(ctx).Project, row)
	return &body[client.Send]{out}, err
}

// cancelSend answers once the cancel is durable in the log of sends, where it
// stops what is not cut yet, and in the ledger of every shard that may hold a
// recipient, where it stops what is not claimed yet. The log's follower carries
// it on to the ledgers.
func (s *Server) cancelSend(ctx context.Context, in *SendPath) (*body[client.Send], error) {
	c := caller(ctx)
	row, err := s.listed(ctx, c.Project, in.Send)
	if err != nil {
		return nil, err
	}
	before, err := s.state(ctx, c.Project, row)
	if err != nil {
		return nil, err
	}
	if before.Status == client.SendFinished {
		return nil, fail(http.StatusConflict, "finished", "every push of the send has its outcome already")
	}
	if row.Cancelled == 0 {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), s.RequestTime)
		defer stop()
		in, home := scope(ctx, row.Class), row.home(c.Project, s.Shards)
		in.Environment = row.Environment
		if err := s.sends[home].append(ctx, cancelOf(row), s.Now(), in); err != nil {
			return nil, err
		}
		if err := s.caughtUp(ctx, home); err != nil {
			return nil, err
		}
		if row, err = s.listing.get(ctx, c.Project, row.ID); err != nil {
			return nil, err
		}
	}
	out, err := s.state(ctx, c.Project, row)
	return &body[client.Send]{out}, err
}

func cancelOf(row *sendRow) *record.Envelope {
	return &record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: row.ID.Bytes()}}}
}

func (s *Server) cancelLedgers(ctx context.Context, row *sendRow, at time.Time, in record.Scope) error {
	return s.appendLedgers(ctx, row, func() *record.Envelope { return cancelOf(row) }, at, in)
}

// appendLedgers writes a record of its own to the ledger of every shard that
// may hold a recipient.
func (s *Server) appendLedgers(ctx context.Context, row *sendRow, make func() *record.Envelope, now time.Time, in record.Scope) error {
	return ask.Each(row.touched(s.Shards), func(_ int, shard tocsin.Shard) error {
		return s.ledger[shard].append(ctx, make(), now, in)
	})
}
