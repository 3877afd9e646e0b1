package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// ValueKind is the type of an attribute's value.
type ValueKind uint8

const (
	Removed ValueKind = iota // null: the attribute is removed
	Text
	Integer
	Float
	Boolean
	Time
	URL
	Location
)

// Years of a time: nanoseconds in 64 bits reach a little further.
const firstYear, lastYear = 1700, 2250

// MaxText is the greatest length of a text or URL value, in bytes.
const MaxText = 1024

// Value is a typed attribute value. In JSON a text is a string, a boolean is
// true or false, a number is an integer unless it has a point or an exponent,
// a time is {"time": "2026-11-23T08:00:00Z"}, a URL is {"url": "https://..."}, a
// location is {"lat": 48.8566, "lon": 2.3522}, and null removes the attribute.
type Value struct {
	Kind    ValueKind
	text    string  // Text, URL
	integer int64   // Integer, Boolean (0 or 1), Time (Unix nanoseconds), Location (see LocationValue)
	float   float64 // Float
}

// TextValue, IntegerValue and the others make a Value.
func TextValue(v string) Value   { return Value{Kind: Text, text: v} }
func URLValue(v string) Value    { return Value{Kind: URL, text: v} }
func IntegerValue(v int64) Value { return Value{Kind: Integer, integer: v} }
func FloatValue(v float64) Value { return Value{Kind: Float, float: v} }
func TimeValue(v time.Time) Value {
	if y := v.Year(); y < firstYear || y > lastYear {
		return Value{Kind: Time, integer: math.MinInt64} // Check refuses it
	}
	return Value{Kind: Time, integer: v.UnixNano()}
}
func BooleanValue(v bool) Value {
	if v {
		return Value{Kind: Boolean, integer: 1}
	}
	return Value{Kind: Boolean}
}

// degree is how finely a location is kept: 1.1 cm on the ground.
const degree = 10_000_000

// LocationValue makes a Value of degrees north and east.
func LocationValue(lat, lon float64) Value {
	if !(math.Abs(lat) <= 90 && math.Abs(lon) <= 180) {
		return Value{Kind: Location, integer: math.MinInt64} // Check refuses it
	}
	return Value{Kind: Location, integer: int64(math.Round(lat*degree))<<32 | int64(uint32(int32(math.Round(lon*degree))))}
}

// Location is the degrees north and east of a Location.
func (v Value) Location() (lat, lon float64) {
	return float64(int32(v.integer>>32)) / degree, float64(int32(v.integer)) / degree
}

// Text is the value of a Text or URL.
func (v Value) Text() string { return v.text }

// Integer is the value of an Integer.
func (v Value) Integer() int64 { return v.integer }

// Float is the value of a Float.
func (v Value) Float() float64 { return v.float }

// Boolean is the value of a Boolean.
func (v Value) Boolean() bool { return v.integer != 0 }

// Time is the value of a Time.
func (v Value) Time() time.Time { return time.Unix(0, v.integer).UTC() }

// MarshalJSON writes the form described at Value.
func (v Value) MarshalJSON() ([]byte, error) {
	switch v.Kind {
	case Text:
		return json.Marshal(v.text)
	case Integer:
		return strconv.AppendInt(nil, v.integer, 10), nil
	case Float:
		if math.IsNaN(v.float) || math.IsInf(v.float, 0) {
			return nil, errors.New("a number must be finite")
		}
		b := strconv.AppendFloat(nil, v.float, 'g', -1, 64)
		if !bytes.ContainsAny(b, ".e") {
			b = append(b, ".0"...)
		}
		return b, nil
	case Boolean:
		return strconv.AppendBool(nil, v.integer != 0), nil
	case Time:
		return json.Marshal(map[string]time.Time{"time": v.Time()})
	case URL:
		return json.Marshal(map[string]string{"url": v.text})
	case Location:
		lat, lon := v.Location()
		return json.Marshal(point{&lat, &lon})
	}
	return []byte("null"), nil
}

type point struct {
	Lat *float64 `json:"lat"`
	Lon *float64 `json:"lon"`
}

// UnmarshalJSON reads the form described at Value.
func (v *Value) UnmarshalJSON(b []byte) error {
	switch b = bytes.TrimSpace(b); b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*v = TextValue(s)
	case 't', 'f':
		*v = BooleanValue(b[0] == 't')
	case 'n':
		*v = Value{}
	case '{':
		var typed struct {
			Time *time.Time `json:"time"`
			URL  *string    `json:"url"`
			point
		}
		decoder := json.NewDecoder(bytes.NewReader(b))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(&typed)
		nowhere := typed.Lat == nil && typed.Lon == nil
		switch {
		case err == nil && typed.Time != nil && typed.URL == nil && nowhere:
			*v = TimeValue(*typed.Time)
		case err == nil && typed.URL != nil && typed.Time == nil && nowhere:
			*v = URLValue(*typed.URL)
		case err == nil && typed.Lat != nil && typed.Lon != nil && typed.Time == nil && typed.URL == nil:
			*v = LocationValue(*typed.Lat, *typed.Lon)
		default:
			return errors.New(`want {"time": RFC 3339}, {"url": address} or {"lat": degrees, "lon": degrees}`)
		}
	case '[':
		return errors.New("a list is no attribute value; use tags")
	default:
		return v.number(string(b))
	}
	return v.Check()
}

func (v *Value) number(text string) error {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		*v = IntegerValue(i)
		return nil
	}
	for _, c := range text {
		if c == '.' || c == 'e' || c == 'E' {
			f, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return errors.New("number is out of range")
			}
			*v = FloatValue(f)
			return nil
		}
	}
	return errors.New("integer is out of range")
}

// ParseValue reads a value of a known kind from plain text, as a CSV field
// holds it.
func ParseValue(kind ValueKind, text string) (v Value, err error) {
	switch kind {
	case Text:
		v = TextValue(text)
	case Integer:
		v.Kind = Integer
		if v.integer, err = strconv.ParseInt(text, 10, 64); err != nil {
			return v, errors.New("not an integer")
		}
	case Float:
		v.Kind = Float
		if v.float, err = strconv.ParseFloat(text, 64); err != nil {
			return v, errors.New("not a number")
		}
	case Boolean:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return v, errors.New("not a boolean")
		}
		v = BooleanValue(b)
	case Time:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return v, errors.New("not a time of RFC 3339")
		}
		v = TimeValue(at)
	case URL:
		v = URLValue(text)
	case Location:
		north, east, _ := strings.Cut(text, ",")
		lat, err1 := strconv.ParseFloat(strings.TrimSpace(north), 64)
		lon, err2 := strconv.ParseFloat(strings.TrimSpace(east), 64)
		if err1 != nil || err2 != nil {
			return v, errors.New("not degrees north and east, as in 48.8566,2.3522")
		}
		v = LocationValue(lat, lon)
	}
	return v, v.Check()
}

// Check holds a value against the limits.
func (v Value) Check() error {
	switch v.Kind {
	case Text, URL:
		if len(v.text) > MaxText {
			return fmt.Errorf("longer than %d bytes", MaxText)
		}
		if !utf8.ValidString(v.text) {
			return errors.New("not valid UTF-8")
		}
		if v.Kind == URL && !plainURL(v.text) {
			if u, err := url.Parse(v.text); err != nil || u.Scheme == "" || u.Host == "" {
				return errors.New("not an absolute URL")
			}
		}
	case Float:
		if math.IsNaN(v.float) || math.IsInf(v.float, 0) {
			return errors.New("a number must be finite")
		}
	case Time:
		if y := v.Time().Year(); y < firstYear || y > lastYear {
			return fmt.Errorf("time is out of range: want a year between %d and %d", firstYear, lastYear)
		}
	case Location:
		if lat, _ := v.Location(); math.Abs(lat) > 90 {
			return errors.New("location is out of range: want lat from -90 to 90 and lon from -180 to 180")
		}
	}
	return nil
}

// plainURL tells a web address of letters, digits and marks that need no
// second look: nearly all are, and package url takes as long as a whole line.
func plainURL(text string) bool {
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		return false
	}
	host := true
	for i := range len(rest) {
		switch c := rest[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.':
		case c == '/' && i > 0:
			host = false
		case host || c != '_' && c != '~' && c != '=' && c != '&' && c != '+' && c != ',':
			return false
		}
	}
	return rest != ""
}

// Tags changes one set of tags. In JSON a list replaces the set, and
// {"add": [...], "remove": [...]} changes it.
type Tags struct {
	Replace []string // not nil: the whole new set, even when empty
	Add     []string
	Remove  []string
}

type tagChange struct {
	Add    []string `json:"add,omitempty"`
	Remove []string `json:"remove,omitempty"`
}

// MarshalJSON writes the form described at Tags.
func (t Tags) MarshalJSON() ([]byte, error) {
	if t.Replace != nil {
		return json.Marshal(t.Replace)
	}
	return json.Marshal(tagChange{t.Add, t.Remove})
}

// UnmarshalJSON reads the form described at Tags.
func (t *Tags) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	if b[0] == '[' {
		*t = Tags{Replace: []string{}}
		return json.Unmarshal(b, &t.Replace)
	}
	var change tagChange
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&change); err != nil || b[0] != '{' {
		return errors.New(`want a list of tags or {"add": [...], "remove": [...]}`)
	}
	*t = Tags{Add: change.Add, Remove: change.Remove}
	return nil
}
