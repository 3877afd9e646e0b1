package audience

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

// Since when somebody is as they are: never too long ago, through snapshots too, and
// what is told again without a change does not count.
func TestSinceWhen(t *testing.T) {
	w := newWorld(t)
	at := noon
	tell := func(after time.Duration, changes ...*record.Change) {
		at = at.Add(after)
		w.pos++
		w.again(w.pos, record.Encode(w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}}, at, record.Scope{Project: news})))
	}
	since := func(n int, want time.Time) {
		t.Helper()
		if s, ok := w.shard.Find(news, subscription(n)); !ok || !s.Since.Equal(want) {
			t.Errorf("%d is as it is since %v, want %v", n, s.Since, want)
		}
	}
	tell(0, phone(0, with("country", "FR"), tagged("likes", "sport")), phone(1, with("country", "FR")))
	if p := w.shard.projects[news]; p.rows.changed.Len() != 0 {
		t.Errorf("who registers takes %d marks", p.rows.changed.Len())
	}
	since(0, noon)
	tell(time.Hour, phone(0, with("country", "FR"), tagged("likes", "sport")), optIn(1, true))
	since(0, noon)
	since(1, noon)
	for _, change := range []*record.Change{phone(0, with("country", "BE")), phone(0, tagged("likes", "food")), phone(0, func(u *record.Upsert) { u.City = "Lyon" }),
		optIn(0, false), phone(0, of("ann")), {Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: UserKey("ann"),
			Attributes: []*record.Attribute{{Name: "country"}}}}}} {
		tell(time.Hour, change)
		since(0, at)
		tell(time.Hour, change)
		since(0, at.Add(-time.Hour))
	}
	since(1, noon)
	w.shard = reread(t, w.shard)
	since(0, at.Add(-time.Hour))
	since(1, noon)
	tell(time.Hour, naming(1, false, "country", "land")) // of everybody
	since(1, at)
	// A snapshot that does not tell: nobody knows more than since the next record.
	p := w.shard.projects[news]
	p.rows.changed, p.noted = index.Cells[uint32]{}, 0
	tell(time.Hour, phone(2))
	since(0, at)
	since(1, at)
}
