package audience

import (
	"os"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// Native fields are targets like any other, and times count from when the send
// is due.
func TestNativeFields(t *testing.T) {
	w := newWorld(t) // its records are written at noon, UTC
	in := func(zone string, seen time.Time) func(*record.Upsert) {
		return func(u *record.Upsert) { u.Zone, u.Active = zone, seen.UnixNano() }
	}
	w.apply(news, phone(0, of("ann"), in("Europe/Paris", noon.Add(-13*time.Hour))), phone(1, in("America/New_York", noon.Add(-13*time.Hour))),
		phone(2, in("Nowhere/At_All", noon.Add(-11*time.Hour))), phone(3, in("", time.Unix(0, 0))), phone(4, in("Local", noon.Add(-31*24*time.Hour))))
	w.expect(`{"has_profile":true}`, 0)
	w.expect(`{"has_profile":{"$ne":true}}`, 1, 2, 3, 4)
	w.expect(`{"created":{"$gte":"now"}}`, 0, 1, 2, 3, 4)
	w.expect(`{"created":{"$gt":"now"}}`)
	w.expect(`{"last_active":{"$gte":"now-30d"}}`, 0, 1, 2)
	w.expect(`{"last_active":{"$exists":false}}`, 3)
	w.expect(`{"$not":{"last_active":{"$gte":"now-30d"}}}`, 3, 4)
	// 23:00 UTC is the first instant of today in Paris, and yesterday in New York;
	// who lives nowhere lives by UTC.
	w.expect(`{"last_active":{"$gte":"today"}}`, 0, 2)
	w.expect(`{"last_active":{"$lt":"today"}}`, 1, 4)
	// It is registered anew, not for long.
	w.apply(news, remove(1))
	w.apply(news, phone(1))
	w.expect(`{"last_active":{"$exists":true},"created":{"$exists":true}}`, 0, 1, 2, 4)
	if v := w.shard.view(t, 0); !v.Created.Equal(noon) || !v.Active.Equal(noon.Add(-13*time.Hour)) {
		t.Errorf("%+v", v)
	}
}

// Snapshots of earlier versions are read: of the first, nobody knows when its
// subscriptions registered, and everything else is there. The files were written
// by builds of those versions.
func TestSnapshotsOfEarlierVersions(t *testing.T) {
	for _, version := range []string{"1", "2"} {
		file, err := os.Open("testdata/snapshot." + version)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		s, err := Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.shard = s
		w.expect(`{"country":"FR"}`, 0, 2)
		w.expect(`{"tags":{"$contains":"sport"}}`, 2)
		w.expect(`{"score":2.5}`, 1)
		w.expect(`{"last_active":{"$gte":"now-1d"},"provider":"apns"}`, 0, 1, 2)
		if version == "1" {
			w.expect(`{"created":{"$exists":true}}`)
		} else {
			w.expect(`{"created":{"$exists":true}}`, 0, 1, 2)
		}
		w.pos, w.writer = 100, record.NewWriter(8)
		w.apply(news, phone(7))
		w.expect(`{"created":{"$gte":"2026-11-23T12:00:00Z"},"country":{"$exists":false},"score":{"$exists":false}}`, 3)
		if v := s.view(t, 1); v.Profile != UserKey("ann") || v.Route.Provider != tocsin.APNs || v.Created.IsZero() != (version == "1") {
			t.Errorf("%+v", v)
		}
	}
}
