package client

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Nanoseconds in 64 bits end in 2262: a later year must not come back as
// another one that is within the limits.
func TestTimesOutOfRangeAreRefused(t *testing.T) {
	for _, year := range []string{"1600", "1699", "2251", "2263", "2400", "2900", "3000", "9999"} {
		var v Value
		err := json.Unmarshal([]byte(`{"time": "`+year+`-06-01T00:00:00Z"}`), &v)
		if err == nil || !strings.Contains(err.Error(), "between 1700 and 2250") {
			t.Errorf("%s is read as %v: %v", year, v.Time(), err)
		}
		if _, err := ParseValue(Time, year+"-06-01T00:00:00Z"); err == nil {
			t.Errorf("a field of %s is taken", year)
		}
	}
	at := time.Date(2250, 12, 31, 0, 0, 0, 0, time.UTC)
	if v := TimeValue(at); v.Check() != nil || !v.Time().Equal(at) {
		t.Errorf("%v comes back as %v, %v", at, v.Time(), v.Check())
	}
}

func TestLocations(t *testing.T) {
	var v Value
	if err := json.Unmarshal([]byte(`{"lat": -48.8566, "lon": 179.99999999}`), &v); err != nil {
		t.Fatal(err)
	}
	if lat, lon := v.Location(); v.Kind != Location || lat != -48.8566 || lon != 180 {
		t.Errorf("%v %v", lat, lon)
	}
	if text, err := json.Marshal(v); err != nil || string(text) != `{"lat":-48.8566,"lon":180}` {
		t.Errorf("%s %v", text, err)
	}
	if field, err := ParseValue(Location, "-48.8566, 180"); err != nil || field != v {
		t.Errorf("%+v %v", field, err)
	}
	for _, text := range []string{`{"lat":1}`, `{"lon":1}`, `{"lat":90.1,"lon":0}`, `{"lat":0,"lon":-180.1}`, `{"lat":0,"lon":0,"url":"https://a.example/"}`, `{"lat":"1","lon":2}`} {
		if err := json.Unmarshal([]byte(text), &v); err == nil {
			t.Errorf("%s is %+v", text, v)
		}
	}
	for _, text := range []string{"", "1", "1;2", "91,0", "NaN,0", "0,Inf"} {
		if v, err := ParseValue(Location, text); err == nil {
			t.Errorf("%q is %+v", text, v)
		}
	}
}
