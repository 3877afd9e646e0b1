package api

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Limits of one event.
const (
	maxFields     = 20
	maxFieldText  = 1024 // bytes
	maxEventID    = 128
	maxEventAge   = 35 * 24 * time.Hour
	maxEventAhead = 5 * time.Minute // of the clock of a device
	eventValues   = 200
)

// Events that may name a send.
const (
	displayed = "displayed"
	opened    = "opened"
)

// events reads events of one project.
type events struct {
	project tocsin.ProjectID
	now     time.Time
	install tocsin.SubscriptionID // of a device, which speaks for itself; zero for the server API
}

// event reads one client.Event, as intake reads a subscription. The profile of one
// that names its subscription is left to the caller.
func (in *events) event(line []byte) (*record.Event, error) {
	if !utf8.Valid(line) {
		return nil, wrong("", "not valid UTF-8")
	}
	e, id, user := &record.Event{At: in.now.UnixNano()}, "", ""
	s := scanner{body: line, depth: lineDepth, values: eventValues, views: true}
	s.space()
	err := s.object(0, func(name string) error {
		if name == "fields" {
			return s.object(1, func(key string) error { return readField(&s, e, key) })
		}
		text, err := s.text()
		switch {
		case !strings.Contains(" user subscription name time id send ", " "+name+" "):
			return wrong(name, "unknown field")
		case err != nil:
			return wrong(name, "want a string")
		case name == "user":
			user = text
		case name == "id":
			id = text
			if id == "" || len(id) > maxEventID {
				return wrong(name, "want 1 to %d bytes", maxEventID)
			}
		default:
			return in.set(e, name, text)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if s.space(); s.at != len(line) {
		return nil, wrong("", "something follows the object")
	}
	return e, in.finish(e, id, user)
}

// set takes one plain field.
func (in *events) set(e *record.Event, name, text string) error {
	switch name {
	case "name":
		if e.Name = text; !target.ValidName(text) {
			return wrong(name, "want a name of 1 to 64 characters of a-z, 0-9 and _")
		}
	case "time":
		at, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
			return wrong(name, "want a time of RFC 3339")
		case at.Before(in.now.Add(-maxEventAge)):
			return wrong(name, "is more than 35 days ago")
		case at.After(in.now.Add(maxEventAhead)):
			return wrong(name, "is more than 5 minutes ahead")
		}
		e.At = at.UnixNano()
	case "subscription":
		var id tocsin.SubscriptionID
		if err := id.UnmarshalText([]byte(text)); err != nil {
			return wrong(name, "%s", err)
		}
		e.Subscription = id.Bytes()
	case "send":
		var send tocsin.SendID
		if err := send.UnmarshalText([]byte(text)); err != nil {
			return wrong(name, "%s", err)
		}
		e.Send = send.Bytes()
	}
	return nil
}

// finish checks an event as a whole.
func (in *events) finish(e *record.Event, id, user string) error {
	switch {
	case e.Name == "":
		return wrong("name", "give the name of the event")
	case len(e.Send) > 0 && e.Name != displayed && e.Name != opened:
		return wrong("send", "belongs to the events %s and %s", displayed, opened)
	case !in.install.IsZero() && (user != "" || len(e.Subscription) > 0):
		return wrong("user", "a device speaks for itself only: give neither user nor subscription")
	case !in.install.IsZero():
		e.Subscription = in.install.Bytes()
	case (user != "") == (len(e.Subscription) > 0):
		return wrong("user", "give who did it: user or subscription")
	case len(user) > maxUser:
		return wrong("user", "want 1 to %d bytes", maxUser)
	case user != "":
		e.Profile = profileKey(user, tocsin.SubscriptionID{})
	}
	if id != "" {
		e.Repeat = repeatOf(e, user, id)
	}
	return nil
}

// repeatOf stands for the identifier of an event. It does not change when the
// subscription becomes somebody's meanwhile.
func repeatOf(e *record.Event, user, id string) uint64 {
	buf := make([]byte, 0, 256)
	for _, part := range [...]string{"tocsin event", e.Name, user, string(e.Subscription), id} {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(part)))
		buf = append(buf, part...)
	}
	sum := sha256.Sum256(buf)
	return max(binary.BigEndian.Uint64(sum[:]), 1)
}

func readField(s *scanner, e *record.Event, name string) error {
	if len(e.Fields) == maxFields {
		return wrong("fields", "more than %d", maxFields)
	}
	v, err := readValue(s)
	switch {
	case err != nil:
	case !target.ValidName(name):
		err = errors.New("want a name of 1 to 64 characters of a-z, 0-9 and _")
	case v.Kind == client.Removed, v.Kind == client.URL, v.Kind == client.Location:
		err = errors.New("want text, a number, true, false or a time")
	case v.Kind == client.Text && len(v.Text()) > maxFieldText:
		return wrong("fields."+name, "longer than %d bytes", maxFieldText)
	default:
		err = v.Check()
	}
	if err != nil {
		return wrong("fields."+name, "%s", err)
	}
	e.Fields = append(e.Fields, new(attributeRoom).hold(name, v))
	return nil
}
