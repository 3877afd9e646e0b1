package api

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// What is written by hand is what the library reads, whole.
func TestUpsertsAreEncodedAsTheLibraryDoes(t *testing.T) {
	text := rapid.StringMatching(`[a-zé]{0,9}`)
	some := rapid.SliceOfN(rapid.Byte(), 0, 40)
	rapid.Check(t, func(t *rapid.T) {
		u := &record.Upsert{Subscription: some.Draw(t, "id"), Profile: text.Draw(t, "profile"), Provider: rapid.Uint32().Draw(t, "provider"),
			Address: some.Draw(t, "address"), Host: text.Draw(t, "host"), Topic: text.Draw(t, "topic"), Language: text.Draw(t, "language"),
			Zone: text.Draw(t, "zone"), Active: rapid.Int64().Draw(t, "active"), Secret: some.Draw(t, "secret"), Vapid: some.Draw(t, "vapid"),
			Platform: text.Draw(t, "platform"), Region: text.Draw(t, "region"), City: text.Draw(t, "city"), AppVersion: text.Draw(t, "version")}
		if rapid.Bool().Draw(t, "opted") {
			yes := rapid.Bool().Draw(t, "in")
			u.OptedIn, u.Derived = &yes, !yes
		}
		for range rapid.IntRange(0, 4).Draw(t, "attributes") {
			a := &record.Attribute{Name: text.Draw(t, "name")}
			long := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 100, 127, 128, 300, 20_000}).Draw(t, "long"))
			switch rapid.IntRange(0, 7).Draw(t, "kind") {
			case 0:
				a.Value = &record.Attribute_Text{Text: long}
			case 1:
				a.Value = &record.Attribute_Integer{Integer: rapid.Int64().Draw(t, "integer")}
			case 2:
				a.Value = &record.Attribute_Real{Real: rapid.Float64().Draw(t, "real")}
			case 3:
				a.Value = &record.Attribute_Flag{Flag: rapid.Bool().Draw(t, "flag")}
			case 4:
				a.Value = &record.Attribute_Time{Time: rapid.Int64().Draw(t, "time")}
			case 5:
				a.Value = &record.Attribute_Url{Url: long}
			case 6:
				a.Value = &record.Attribute_Remove{Remove: true}
			}
			u.Attributes = append(u.Attributes, a)
		}
		for range rapid.IntRange(0, 3).Draw(t, "sets") {
			list := rapid.SliceOfN(text, 0, 30)
			u.Tags = append(u.Tags, &record.TagSet{Name: text.Draw(t, "set"), Replace: list.Draw(t, "replace"), Add: list.Draw(t, "add"),
				Remove: list.Draw(t, "remove"), Clear: rapid.Bool().Draw(t, "clear")})
		}
		m := &record.Move{Subscription: u.Subscription, Profile: u.Profile, Shard: uint32(rapid.IntRange(0, 300).Draw(t, "shard"))}
		want := &record.Changes{Changes: []*record.Change{{Change: &record.Change_Upsert{Upsert: u}}, {Change: &record.Change_Move{Move: m}}}, Names: rapid.Uint64().Draw(t, "edition")}
		u.Later, u.Found = rapid.Uint64().Draw(t, "later"), rapid.Bool().Draw(t, "found")
		one := appendUpsert(nil, u)
		e := record.NewWriter(7).Next(new(record.Envelope), time.Unix(1, 2), record.Scope{Project: tocsin.ProjectID{1}})
		got, err := record.Decode(record.EncodeChanges(e, appendEdition(appendChange(appendChange(nil, changeUpsert, one), changeMove, appendMove(nil, m)), want.Names)))
		if err != nil || !proto.Equal(got.GetChanges(), want) || got.Writer != 7 {
			t.Fatalf("%v: %v, want %v", err, got, want)
		}
	})
}
