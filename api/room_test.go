package api

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/record"
)

// Values that an import reads by hand are those that the type reads, and so are
// the errors.
func TestValuesAreReadAsTheTypeReadsThem(t *testing.T) {
	for _, text := range []string{
		`{"time":"2026-11-23T08:00:00Z"}`, `{"time":"2026-11-23T08:00:00.5+02:00"}`, `{"time":"2026-11-23 08:00:00Z"}`, `{"time":"1500-01-01T00:00:00Z"}`,
		`{"time":12}`, `{"time":null}`, `{"time":null,"url":"https://a.example/"}`, `{"time":"2026-11-23T08:00:00Z","url":"https://a.example/"}`,
		`{"url":"https://a.example/b_c?d=1"}`, `{"url":"https:\/\/a.example"}`, `{"url":"a.example"}`, `{"url":"https://"}`, `{"url":"https://a b/"}`, `{"url":""}`,
		`{"lat":48.8566,"lon":2.3522}`, `{ "lon" : -180, "lat" : 90 }`, `{"lat":91,"lon":0}`, `{"lat":1}`, `{"lat":"1","lon":2}`, `{"lat":1e999,"lon":2}`,
		`{}`, `{"latlon":1}`, `{"?":1}`, `{"Time":"2026-11-23T08:00:00Z"}`, `[1]`, `{"time":{"time":1}}`,
	} {
		var want client.Value
		wantErr := want.UnmarshalJSON([]byte(text))
		s := scanner{body: []byte(text), depth: 8, values: 100}
		got, err := readValue(&s)
		if err == nil {
			err = got.Check()
		}
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() || err == nil && got != want {
			t.Errorf("%s: %+v, %v; the type reads %+v, %v", text, got, err, want, wantErr)
		}
	}
}

// What a room held before is not in the change that stands there next.
func TestARoomIsEmptied(t *testing.T) {
	lines := []string{
		`{"provider":"fcm","token":"one","user":"a","opted_in":false,"active":"2026-11-23T08:00:00Z","attributes":{"a":1,"b":"x","c":{"url":"https://a.example/"},"d":null},"tags":{"t":["x","y"],"u":{"add":["z"],"remove":["q"]}}}`,
		`{"provider":"fcm","token":"two","attributes":{"a":true,"b":2.5},"tags":{"u":{"add":["w"]}}}`,
		`{"provider":"fcm","token":"three"}`,
	}
	kept := testIntake()
	kept.room = new(room)
	for _, line := range append(lines, lines...) {
		got, err := kept.subscription([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		want, err := testIntake().subscription([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		var read record.Upsert
		if err := read.UnmarshalVT(appendUpsert(nil, got)); err != nil || !proto.Equal(got, want) || !proto.Equal(&read, want) {
			t.Errorf("%s: %v, want %v: %v", line, got, want, err)
		}
	}
}
