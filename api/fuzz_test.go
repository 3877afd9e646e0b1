package api

import (
	"bufio"
	"bytes"
	stdcsv "encoding/csv"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
)

// What the reader of import lines takes, encoding/json takes for the same subscription.
func FuzzSubscription(f *testing.F) {
	for _, line := range []string{
		`{"provider":"apns","token":"00aabbccddeeff0011","user":"anna","language":"fr_CA","zone":"Europe/Paris","platform":"macos","region":"CA-QC",
			"city":"Qu\u00e9bec","app_version":"4.10.2","active":"2026-11-01T10:00:00Z","opted_in":true,
			"attributes":{"country":"FR","age":41,"score":-1.5e3,"premium":true,"since":{"time":"2020-01-01T00:00:00Z"},"home":{"url":"https://a.example/x"},"old":null,"at":{"lat":48.8,"lon":2.3}},
			"tags":{"topics":["politics","sport"],"more":{"add":["x"],"remove":["y"]}}}`,
		`{"provider":"webpush","endpoint":"https://127.0.0.1:9443/x","p256dh":"` + goodKey + `","auth":"` + goodAuth + `"}`,
		`{"id":"sub_01m7zbfx000000000000000001","tags":{"topics":[]},"opted_in":false}`,
		`{"provider":"fcm","token":"t","attributes":{"a":12345678901234567890,"b":"\ud83d\ude00","c":{"text":"x"}}}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		u, err := testIntake().subscription(line)
		if err != nil {
			return
		}
		var want client.Subscription
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&want); err != nil {
			t.Fatalf("%q is taken; encoding/json: %v", line, err)
		}
		if want.User != "" && u.Profile != "u:"+want.User || u.Region != want.Region || u.City != want.City || u.AppVersion != want.AppVersion ||
			!want.Active.IsZero() && u.Active != want.Active.UnixNano() || (u.OptedIn == nil) != (want.OptedIn == nil) || u.OptedIn != nil && *u.OptedIn != *want.OptedIn {
			t.Fatalf("%q is read as %v, want %+v", line, u, want)
		}
		if len(u.Attributes) != len(want.Attributes) || len(u.Tags) != len(want.Tags) {
			t.Fatalf("%q has %d attributes and %d sets, want %+v", line, len(u.Attributes), len(u.Tags), want)
		}
		for _, a := range u.Attributes {
			if v, ok := want.Attributes[a.Name]; !ok || v.Kind == client.Text && a.GetText() != v.Text() || v.Kind == client.Integer && a.GetInteger() != v.Integer() {
				t.Fatalf("%q: attribute %v, want %v", line, a, v)
			}
		}
	})
}

// However a stream is cut into reads, its records are the same, and rows of CSV are
// those that encoding/csv finds.
func FuzzCutter(f *testing.F) {
	f.Add([]byte("provider,token\nfcm,\"a \"\"b\"\"\"\nfcm,\"two\nlines\"\n\nfcm,last"), true, uint16(1000))
	f.Add([]byte("{\"a\":1}\r\n\r\n{\"long\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}\n{}"), false, uint16(20))
	f.Fuzz(func(t *testing.T, data []byte, quotes bool, limit uint16) {
		cut := func(buffer int, in io.Reader) (rows []string, lines []span) {
			c := &cutter{in: bufio.NewReaderSize(in, buffer), quotes: quotes, limit: int(limit)}
			for {
				p, err := c.next()
				for _, s := range p.lines {
					rows = append(rows, string(p.data[s.from:s.to]))
					lines = append(lines, span{number: s.number, lines: s.lines, long: s.long})
				}
				if err == nil {
					continue
				}
				whole := int64(bytes.Count(data, []byte("\n")))
				if len(data) > 0 && data[len(data)-1] != '\n' {
					whole++
				}
				if err != io.EOF || p.end != int64(len(data)) || p.count != whole {
					t.Fatalf("%q ends at %d behind %d lines of %d: %v", data, p.end, p.count, whole, err)
				}
				return rows, lines
			}
		}
		rows, lines := cut(64<<10, bytes.NewReader(data))
		again, same := cut(16, iotestReader{bytes.NewReader(data)})
		if !slices.Equal(rows, again) || !slices.Equal(lines, same) {
			t.Fatalf("%q is cut into %q %v, and in small reads into %q %v", data, rows, lines, again, same)
		}
		if !quotes || bytes.ContainsRune(data, '\r') || slices.ContainsFunc(lines, func(s span) bool { return s.long }) {
			return // encoding/csv knows no limit, and changes line breaks
		}
		var mine [][]string
		for _, row := range rows {
			have, err := fields([]byte(row), nil)
			if err != nil {
				return
			}
			mine = append(mine, have)
		}
		r := stdcsv.NewReader(bytes.NewReader(data))
		r.FieldsPerRecord = -1
		theirs, err := r.ReadAll()
		if err != nil {
			t.Fatalf("%q is taken; encoding/csv: %v", data, err)
		}
		blank := func(row []string) bool { return len(row) == 1 && strings.TrimSpace(row[0]) == "" }
		mine, theirs = slices.DeleteFunc(mine, blank), slices.DeleteFunc(theirs, blank)
		if !slices.EqualFunc(mine, theirs, slices.Equal[[]string]) {
			t.Fatalf("%q has the rows %q, want %q", data, mine, theirs)
		}
	})
}
