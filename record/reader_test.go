package record_test

import (
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin/record"
)

// A reader that has read other records reads each as Decode does.
func TestReaderReadsAsDecode(t *testing.T) {
	var reader record.Reader
	rapid.Check(t, func(t *rapid.T) {
		changes := &record.Changes{Names: rapid.Uint64().Draw(t, "names")}
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			c := new(record.Change)
			if rapid.IntRange(0, 3).Draw(t, "kind") > 0 {
				u := new(record.Upsert)
				fill(t, u.ProtoReflect(), 0)
				c.Change = &record.Change_Upsert{Upsert: u}
			} else {
				fill(t, c.ProtoReflect(), 0)
			}
			changes.Changes = append(changes.Changes, c)
		}
		e := record.NewWriter(7).Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: changes}}, at, record.Scope{})
		data := record.Encode(e)
		if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
			data = append(data, 0xfa, 0x7f, 2, 1, 2) // a field that nobody knows
		}
		want, err := record.Decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := reader.Decode(data); err != nil || !proto.Equal(got, want) {
			t.Fatalf("read as %v, %v; want %v", got, err, want)
		}
		if n := rapid.IntRange(0, len(data)-1).Draw(t, "torn"); n < len(data) {
			got, err := reader.Decode(data[:n])
			want, wantErr := record.Decode(data[:n])
			if (err == nil) != (wantErr == nil) || err == nil && !proto.Equal(got, want) {
				t.Fatalf("the first %d bytes: %v, %v; want %v, %v", n, got, err, want, wantErr)
			}
		}
	})
}

func BenchmarkReader(b *testing.B) {
	u := &record.Upsert{Subscription: make([]byte, 16), Profile: "u:reader-1", Provider: 2, Address: make([]byte, 163), Language: "fr", Zone: "Europe/Paris", Active: 1e18,
		Tags: []*record.TagSet{{Name: "topics", Clear: true, Replace: []string{"breaking", "sport"}}, {Name: "regions", Clear: true, Replace: []string{"region-7"}}}}
	for _, name := range []string{"country", "town", "postcode", "plan", "source", "device", "app", "os"} {
		u.Attributes = append(u.Attributes, &record.Attribute{Name: name, Value: &record.Attribute_Text{Text: name + " value"}})
	}
	for _, name := range []string{"age", "articles", "visits", "customer", "loyalty", "spent", "installed", "last_order", "home", "sound", "premium", "newsletter"} {
		u.Attributes = append(u.Attributes, &record.Attribute{Name: name, Value: &record.Attribute_Integer{Integer: 12345}})
	}
	changes := new(record.Changes)
	for range 500 {
		changes.Changes = append(changes.Changes, &record.Change{Change: &record.Change_Upsert{Upsert: u}})
	}
	data := record.Encode(record.NewWriter(7).Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: changes}}, at, record.Scope{}))
	for name, decode := range map[string]func([]byte) (*record.Envelope, error){"again": new(record.Reader).Decode, "anew": record.Decode} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(data); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/500, "ns/change")
		})
	}
}

// A reader holds on to the record that it read last, and to no other.
func TestReaderLetsGoOfRecords(t *testing.T) {
	var reader record.Reader
	let := make(chan struct{}, 8)
	for n := 8; n > 0; n-- {
		changes := new(record.Changes)
		for range 100 * n {
			changes.Changes = append(changes.Changes, &record.Change{Change: &record.Change_Upsert{Upsert: &record.Upsert{Subscription: make([]byte, 16),
				Profile:    "u:reader",
				Attributes: []*record.Attribute{{Name: "a", Value: &record.Attribute_Text{Text: "b"}}, {Name: "c", Value: &record.Attribute_Url{Url: "d"}}},
				Tags:       []*record.TagSet{{Name: "t", Replace: []string{"x", "y", "z"}[:1+n%3], Add: []string{"v"}}}}}})
		}
		data := record.Encode(record.NewWriter(7).Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: changes}}, at, record.Scope{}))
		runtime.SetFinalizer(&data[0], func(*byte) { let <- struct{}{} })
		if _, err := reader.Decode(data); err != nil {
			t.Fatal(err)
		}
	}
	for range 7 {
		runtime.GC()
		<-let
	}
	runtime.KeepAlive(&reader)
}
