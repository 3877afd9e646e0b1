package api

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// Depth and number of values of one subscription.
const (
	lineDepth  = 4
	lineValues = 20_000
)

// subscription reads one client.Subscription from JSON, without reflection: a
// bulk import lives by it. It takes the same bodies as the type, unknown and
// repeated names refused.
func (in *intake) subscription(line []byte) (*record.Upsert, error) {
	if !utf8.Valid(line) {
		return nil, wrong("", "not valid UTF-8")
	}
	d := in.draft()
	s := scanner{body: line, depth: lineDepth, values: lineValues, views: true}
	s.space()
	if err := s.object(0, func(name string) error { return in.member(&s, &d, name) }); err != nil {
		return nil, err
	}
	if s.space(); s.at != len(line) {
		return nil, wrong("", "something follows the object")
	}
	return in.finish(&d)
}

func (in *intake) member(s *scanner, d *draft, name string) error {
	u := d.upsert
	switch name {
	case "attributes":
		return s.object(1, func(key string) error { return readAttribute(s, d.room, key) })
	case "tags":
		return s.object(1, func(key string) error { return readTags(s, d.room, key) })
	case "opted_in":
		word, err := s.plain()
		if err != nil || word[0] != 't' && word[0] != 'f' {
			return wrong(name, "want true or false")
		}
		yes := word[0] == 't'
		u.OptedIn = &yes
		return nil
	}
	text, err := s.text()
	if err != nil {
		if !slices.Contains(strings.Fields(plainFields), name) {
			err = errors.New("unknown field")
		} else if s.at < len(s.body) && s.body[s.at] != '"' {
			err = errors.New("want a string")
		}
		return wrong(name, "%s", err)
	}
	return d.set(name, text)
}

// plainFields are those that set takes.
const plainFields = "id user provider token endpoint p256dh auth topic platform language zone region city app_version active"

// set takes one plain field, from JSON or CSV.
func (d *draft) set(name, text string) (err error) {
	u := d.upsert
	switch name {
	case "id":
		err = d.id.UnmarshalText([]byte(text))
	case "user":
		d.user = text
		if text == "" || len(text) > maxUser {
			return wrong(name, "want 1 to %d bytes", maxUser)
		}
	case "provider":
		err = d.provider.UnmarshalText([]byte(text))
	case "token":
		d.token = text
		if len(text) > maxToken {
			return wrong(name, "longer than %d bytes", maxToken)
		}
	case "endpoint":
		d.endpoint = text
	case "p256dh":
		d.p256dh = text
	case "auth":
		d.auth = text
	case "topic":
		u.Topic = text
		if text == "" || len(text) > 256 {
			return wrong(name, "want 1 to 256 bytes")
		}
	case "language":
		u.Language, err = language(text)
	case "zone":
		u.Zone, err = text, zone(text)
	case "platform":
		if u.Platform = text; !target.ValidPlatform(text) {
			return wrong(name, "want ios, android, web, macos, tvos, watchos, visionos, windows or linux")
		}
	case "region":
		u.Region, err = text, brief(text)
	case "city":
		u.City, err = text, brief(text)
	case "app_version":
		u.AppVersion, err = text, brief(text)
	case "active":
		var at time.Time
		if at, err = time.Parse(time.RFC3339, text); err != nil {
			return wrong(name, "want a time of RFC 3339")
		}
		err = client.TimeValue(at).Check()
		u.Active = at.UnixNano()
	default:
		return wrong(name, "unknown field")
	}
	if err != nil {
		return wrong(name, "%s", err)
	}
	return nil
}

func readAttribute(s *scanner, to *room, name string) error {
	if len(to.upsert.Attributes) == maxAttributes {
		return wrong("attributes", "more than %d", maxAttributes)
	}
	v, err := readValue(s)
	kept, _, good := to.goodAttributes.find(name)
	switch {
	case err != nil:
	case good:
		err = v.Check()
	default:
		if err = checkAttribute(name, v); err == nil {
			kept = to.goodAttributes.add(name, struct{}{})
		}
	}
	if err != nil {
		return wrong("attributes."+name, "%s", err)
	}
	to.add(kept, v)
	return nil
}

// readValue reads the forms described at client.Value.
func readValue(s *scanner) (v client.Value, err error) {
	if s.at >= len(s.body) {
		return v, s.bad()
	}
	switch s.body[s.at] {
	case '"':
		text, err := s.text()
		return client.TextValue(text), err
	case '{':
		return readTyped(s)
	case '[':
		from := s.at
		if err := s.value(2); err != nil {
			return v, err
		}
		err = v.UnmarshalJSON(s.body[from:s.at])
		return v, err
	}
	word, err := s.plain()
	if err != nil {
		return v, err
	}
	switch word[0] {
	case 't', 'f':
		return client.BooleanValue(word[0] == 't'), nil
	case 'n':
		return v, nil
	}
	if bytes.ContainsAny(word, ".eE") {
		if f, err := strconv.ParseFloat(view(word), 64); err == nil {
			return client.FloatValue(f), nil
		}
	} else if i, err := strconv.ParseInt(view(word), 10, 64); err == nil {
		return client.IntegerValue(i), nil
	}
	err = v.UnmarshalJSON(word)
	return v, err
}

// readTyped reads {"time": ...}, {"url": ...} or {"lat": ..., "lon": ...}. What
// looks in any way unusual is left to client.Value, which says what is wrong.
func readTyped(s *scanner) (v client.Value, err error) {
	from := s.at
	var at time.Time
	var address string
	var place [2]float64
	seen := "" // the names, in their order
	err = s.object(2, func(name string) error {
		inner := s.at
		if err := s.value(3); err != nil {
			return err
		}
		raw, failed := s.body[inner:s.at], error(nil)
		switch {
		case name == "time" && plainText(raw):
			failed = at.UnmarshalText(raw[1 : len(raw)-1])
		case name == "url" && plainText(raw):
			address = view(raw[1 : len(raw)-1])
		case name == "lat":
			place[0], failed = strconv.ParseFloat(view(raw), 64)
		case name == "lon":
			place[1], failed = strconv.ParseFloat(view(raw), 64)
		default:
			name = "?"
		}
		if failed != nil {
			name = "?"
		}
		seen += name
		return nil
	})
	if err != nil {
		return v, err
	}
	switch seen {
	case "time":
		return client.TimeValue(at), nil
	case "url":
		return client.URLValue(address), nil
	case "latlon", "lonlat":
		return client.LocationValue(place[0], place[1]), nil
	}
	err = v.UnmarshalJSON(s.body[from:s.at])
	return v, err
}

// plainText tells a string without escapes.
func plainText(raw []byte) bool { return raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 }

func readTags(s *scanner, to *room, name string) error {
	if len(to.upsert.Tags) == maxTagSets {
		return wrong("tags", "more than %d sets", maxTagSets)
	}
	kept, _, good := to.goodSets.find(name)
	if !good {
		kept = name
	}
	set := to.set(kept)
	var err error
	if s.at < len(s.body) && s.body[s.at] == '{' {
		err = s.object(2, func(key string) error {
			switch key {
			case "add":
				return readTexts(s, 3, &set.Add)
			case "remove":
				return readTexts(s, 3, &set.Remove)
			}
			return errors.New(`want a list of tags or {"add": [...], "remove": [...]}`)
		})
	} else {
		set.Clear = true
		err = readTexts(s, 2, &set.Replace)
	}
	if err == nil && !good {
		if err = checkSetName(name); err == nil {
			set.Name = to.goodSets.add(name, struct{}{})
		}
	}
	if err == nil {
		err = checkTexts(set)
	}
	if err != nil {
		return wrong("tags."+name, "%s", err)
	}
	return nil
}

func readTexts(s *scanner, depth int, into *[]string) error {
	return s.array(depth, func(int) error {
		text, err := s.text()
		if err != nil {
			return errors.New("want a list of strings")
		}
		*into = append(*into, text)
		return nil
	})
}

// column is a CSV column: where its text goes.
type column struct {
	field string           // name of a plain field, or "attributes", "tags", "opted_in"
	name  string           // of the attribute or set of tags
	kind  client.ValueKind // of the attribute
}

// parseHeader reads the header of a CSV import: plain fields by their names,
// attributes.NAME or attributes.NAME:TYPE, and tags.NAME with tags divided by
// a vertical bar.
func parseHeader(header []string) ([]column, error) {
	kinds := map[string]client.ValueKind{"text": client.Text, "integer": client.Integer, "float": client.Float,
		"boolean": client.Boolean, "time": client.Time, "url": client.URL,
		"location": client.Location}
	columns := make([]column, len(header))
	seen := map[string]bool{}
	for i, title := range header {
		title = strings.TrimSpace(strings.TrimPrefix(title, "\ufeff"))
		group, name, grouped := strings.Cut(title, ".")
		c := column{field: group, name: name, kind: client.Text}
		switch {
		case group == "attributes" && grouped:
			var kind string
			var typed bool
			if c.name, kind, typed = strings.Cut(name, ":"); typed {
				if c.kind = kinds[kind]; c.kind == 0 {
					return nil, wrong(title, "type of a column is text, integer, float, boolean, time, url or location")
				}
			}
			if err := checkAttribute(c.name, client.Value{}); err != nil {
				return nil, wrong(title, "%s", err)
			}
		case group == "tags" && grouped:
			if err := checkTags(&record.TagSet{Name: name}); err != nil {
				return nil, wrong(title, "%s", err)
			}
		case grouped || title != "opted_in" && !slices.Contains(strings.Fields(plainFields), title):
			return nil, wrong(title, "unknown column: want one of %s opted_in, attributes.NAME or tags.NAME", plainFields)
		}
		if seen[c.field+"."+c.name] {
			return nil, wrong(title, "column stands twice")
		}
		seen[c.field+"."+c.name] = true
		columns[i] = c
	}
	return columns, nil
}

// row reads one CSV row. An empty field is an absent one.
func (in *intake) row(columns []column, fields []string) (*record.Upsert, error) {
	if len(fields) != len(columns) {
		return nil, wrong("", "%d fields where the header has %d", len(fields), len(columns))
	}
	d := in.draft()
	for i, c := range columns {
		text := fields[i]
		if text == "" {
			continue
		}
		if !utf8.ValidString(text) {
			return nil, wrong(c.field, "not valid UTF-8")
		}
		switch c.field {
		case "attributes":
			v, err := client.ParseValue(c.kind, text)
			if err == nil {
				err = checkAttribute(c.name, v)
			}
			if err != nil {
				return nil, wrong("attributes."+c.name, "%s", err)
			}
			d.room.add(c.name, v)
		case "tags":
			set := d.room.set(c.name)
			set.Clear = true
			for tag := range strings.SplitSeq(text, "|") {
				set.Replace = append(set.Replace, tag)
			}
			if err := checkTags(set); err != nil {
				return nil, wrong("tags."+c.name, "%s", err)
			}
		case "opted_in":
			yes, err := strconv.ParseBool(text)
			if err != nil {
				return nil, wrong("opted_in", "want true or false")
			}
			d.upsert.OptedIn = &yes
		default:
			if err := d.set(c.field, text); err != nil {
				return nil, err
			}
		}
	}
	return in.finish(&d)
}
