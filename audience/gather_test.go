package audience

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Changes in one record do what they do in a record each, whoever registers,
// changes, takes over an address or goes among them.
func TestChangesTogetherDoWhatTheyDoAlone(t *testing.T) {
	when := time.Unix(1_795_000_000, 0)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for range 60 {
		id := func() []byte { return append(make([]byte, 15), byte(1+r.IntN(20))) }
		person := func() string { return []string{UserKey("a"), UserKey("b"), UserKey("c"), "s:x"}[r.IntN(4)] }
		attributes := func() (all []*record.Attribute) {
			for _, name := range []string{"one", "two", "three", "city"} {
				switch r.IntN(5) {
				case 0:
					all = append(all, &record.Attribute{Name: name, Value: &record.Attribute_Remove{Remove: true}})
				case 1, 2:
					all = append(all, &record.Attribute{Name: name, Value: &record.Attribute_Integer{Integer: int64(r.IntN(4))}})
				}
			}
			return all
		}
		tags := func() []*record.TagSet {
			return []*record.TagSet{{Name: "set", Clear: r.IntN(2) == 0, Add: []string{fmt.Sprint(r.IntN(4))}, Remove: []string{fmt.Sprint(r.IntN(4))}}}[:r.IntN(2)]
		}
		var changes []*record.Change
		for range 40 {
			switch r.IntN(10) {
			case 0:
				changes = append(changes, &record.Change{Change: &record.Change_Delete{Delete: &record.Delete{Subscription: id()}}})
			case 1:
				changes = append(changes, &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: person(), Attributes: attributes(), Tags: tags()}}})
			default:
				changes = append(changes, &record.Change{Change: &record.Change_Upsert{Upsert: &record.Upsert{Subscription: id(), Profile: person(), Provider: uint32(tocsin.FCM),
					Address: fmt.Appendf(nil, "token %d", r.IntN(12)), Derived: r.IntN(2) == 0, City: []string{"", "Lyon"}[r.IntN(2)], Attributes: attributes(), Tags: tags()}}})
			}
		}
		project := tocsin.MakeID[tocsin.ProjectID](when, [10]byte{1})
		scope := record.Scope{Project: project, Environment: tocsin.Development}
		together, alone := NewShard(0), NewShard(0)
		apply := func(s *Shard, w *record.Writer, changes []*record.Change) {
			e := w.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}}, when, scope)
			if err := s.Apply(s.Applied()+1, e); err != nil {
				t.Fatal(err)
			}
		}
		apply(together, record.NewWriter(1), changes)
		for w := record.NewWriter(1); len(changes) > 0; changes = changes[1:] {
			apply(alone, w, changes[:1])
		}
		for n := range 21 {
			id := tocsin.SubscriptionID(append(make([]byte, 15), byte(n)))
			got, ok := together.Find(project, id)
			want, there := alone.Find(project, id)
			got.Version, want.Version = 0, 0
			if ok != there || !reflect.DeepEqual(got, want) {
				t.Fatalf("seed %d: together %v %+v, alone %v %+v", seed, ok, got, there, want)
			}
		}
	}
}
