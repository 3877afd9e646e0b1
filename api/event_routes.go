package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

// Events of one request, and its bytes.
const (
	maxEvents        = 10_000
	maxDeviceEvents  = 100
	deviceEventsBody = 128 << 10
)

func (s *Server) eventRoutes() {
	write := access{scope: account.Audience}
	batch := s.document(reflect.TypeFor[client.EventBatch]())
	route(s, operation{id: "put-events", method: http.MethodPost, path: "/v1/events", tag: "Events", raw: batch, limit: s.Batch,
		summary: "Tell what people did, up to 10,000 events; bad ones are listed, the others are taken", need: write}, s.putEvents)
	stream := s.document(reflect.TypeFor[client.ImportRequest]())
	stream["application/x-ndjson"] = streams()["application/x-ndjson"]
	route(s, operation{id: "import-events", method: http.MethodPost, path: "/v1/events/imports", tag: "Events", raw: stream, limit: -1, stream: true,
		summary: "Import a stream of events at once, one a line; or, with a JSON body, open an import whose stream follows", status: http.StatusCreated, need: write}, s.importEvents)
	route(s, operation{id: "device-events", method: http.MethodPost, path: "/v1/device/subscriptions/{subscription}/events", tag: "Device", raw: batch, limit: deviceEventsBody,
		summary: "Tell what the person of this install did, up to 100 events; bad ones are listed, the others are taken", need: access{scope: account.Device}}, s.deviceEvents)
}

func (s *Server) importEvents(ctx context.Context, in *struct {
	StreamInput
	Name string `query:"name" maxLength:"100" doc:"Name of an import whose stream is the body"`
}) (*body[client.Import], error) {
	return s.beginImport(ctx, &in.StreamInput, in.Name, &importRow{Import: client.Import{Events: true}})
}

type deviceEventsInput struct {
	Install
	kept *keptBody
}

// Resolve takes the body that guard left.
func (in *deviceEventsInput) Resolve(ctx huma.Context) []error {
	in.kept = kept(ctx)
	return nil
}

func (s *Server) deviceEvents(ctx context.Context, in *deviceEventsInput) (*body[client.EventResult], error) {
	profile, _, err := s.own(ctx, &in.Install)
	if err != nil {
		return nil, err
	}
	reader := &events{project: caller(ctx).Project, now: s.Now(), install: in.Subscription}
	return s.takeEvents(ctx, in.kept.all, maxDeviceEvents, reader, catalogue.Device, func(e *record.Event) error {
		e.Profile = profile
		return nil
	})
}

func (s *Server) putEvents(ctx context.Context, in *rawInput) (*body[client.EventResult], error) {
	project := caller(ctx).Project
	placing := s.placing(project)
	return s.takeEvents(ctx, in.kept.all, maxEvents, &events{project: project, now: s.Now()}, catalogue.Server, func(e *record.Event) error {
		return placing.event(ctx, e)
	})
}

// takeEvents reads a batch, finds whose each event is, and appends those that are
// admitted.
func (s *Server) takeEvents(ctx context.Context, data []byte, most int, reader *events, via catalogue.Via, place func(*record.Event) error) (*body[client.EventResult], error) {
	var request struct {
		Events []json.RawMessage `json:"events"`
	}
	if err := strict(data, &request); err != nil {
		return nil, err
	}
	switch n := len(request.Events); {
	case n == 0:
		return nil, invalid("events", "want at least one")
	case n > most:
		return nil, invalid("events", fmt.Sprintf("more than %d", most))
	}
	var out client.EventResult
	set, names := newBundle(reader.project, s.Shards, s.Now()), s.naming(ctx, via)
	for i, line := range request.Events {
		e, err := reader.event(line)
		if about := new(fieldError); err != nil && !errors.As(err, &about) { // it is no object, or too deep
			err = wrong("", "%v", err)
		}
		if err == nil {
			err = place(e)
		}
		if err == nil {
			err = s.aboutSend(ctx, reader.project, e)
		}
		if err == nil {
			err = names.admitEvent(ctx, e.Name)
		}
		if err == nil {
			out.Accepted++
			set.addEvent(e, names.edition())
			continue
		}
		one, ok := aboutOne(err)
		if !ok {
			return nil, err
		}
		out.Errors = append(out.Errors, client.BatchError{Index: i, Field: one.field, Reason: one.reason})
	}
	set.send(ctx, s, scope(ctx, 0))
	return &body[client.EventResult]{out}, set.wait(ctx)
}

// parseEvents reads the lines of a piece of events.
func (i *importing) parseEvents(ctx context.Context, p *piece) {
	reader, names := *i.events, i.server.naming(ctx, catalogue.Import)
	reader.now = i.server.Now()
	for _, s := range p.lines {
		line := p.data[s.from:s.to]
		if s.number == 1 {
			line = bytes.TrimPrefix(line, []byte("\ufeff")) // as some programs begin a file
		}
		var e *record.Event
		err := wrong("", "longer than %d bytes", i.server.Line)
		if !s.long {
			e, err = reader.event(line)
		}
		if err == nil {
			if err := i.server.aboutSend(ctx, i.scope.Project, e); err != nil {
				i.fail(err)
				return
			}
		}
		held := err == nil && len(e.Subscription) > 0
		if err == nil && !held {
			if err = names.admitEvent(ctx, e.Name); err != nil && !errors.As(err, new(*fieldError)) {
				i.fail(err) // it is not about this line
				return
			}
		}
		switch {
		case err != nil:
			p.refuse(s, err)
		case held:
			p.held = append(p.held, heldLine{span: s, event: e})
		default:
			p.changes.addEvent(e, names.edition())
			p.imported++
		}
	}
	p.data, p.lines = nil, nil
}

// admitEvent is admit for the name of an event. Those that devices bring leave
// half of the room to the server API: anybody can read the public key.
func (n *naming) admitEvent(ctx context.Context, name string) error {
	if n.events[name] {
		return nil
	}
	view, err := n.known(ctx)
	if err != nil {
		return err
	}
	use, most := catalogue.Use{Kind: catalogue.Event, Name: strings.Clone(name)}, n.server.names.Ceilings().Events/2
	if n.writer.Via == catalogue.Device && view.Find(use.Kind, name) == nil && view.Count(use.Kind) >= most {
		return wrong("name", "the project has %d names of events, and devices bring no more", view.Count(use.Kind))
	}
	if !view.Allows(n.writer, n.server.names.Today(), use) {
		if n.view, err = n.server.names.Take(ctx, n.project, n.writer, []catalogue.Use{use}); err != nil {
			return refusedName(err, nil)
		}
	}
	n.events[use.Name] = true
	return nil
}

// event is place for an event.
func (p *placing) event(ctx context.Context, e *record.Event) error {
	if len(e.Subscription) == 0 {
		return nil
	}
	u := &record.Upsert{Subscription: e.Subscription}
	if _, err := p.place(ctx, u); err != nil {
		if one, ok := aboutOne(err); ok && one.field == "id" {
			return wrong("subscription", "%s", one.reason)
		}
		return err
	}
	e.Profile = u.Profile
	return nil
}
