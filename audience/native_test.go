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

// Platform, region, city and version come with a registration; the platform
// follows from the provider where nobody names it.
func TestFieldsOfAnInstall(t *testing.T) {
	w := newWorld(t)
	mac := func(u *record.Upsert) {
		u.Platform, u.Region, u.City, u.AppVersion = "macos", "FR-IDF", "Paris", "4.10.2"
	}
	android := func(u *record.Upsert) { u.Provider, u.Topic, u.Host = uint32(tocsin.FCM), "", "" }
	w.apply(news, phone(0, mac), phone(1), phone(2, android))
	w.expect(`{"platform":"macos"}`, 0)
	w.expect(`{"platform":{"$in":["ios","android"]}}`, 1, 2)
	w.expect(`{"platform":{"$exists":false}}`)
	w.expect(`{"app_version":{"$version":{"$gte":"4.9"}},"region":{"$startsWith":"FR-"},"city":"Paris"}`, 0)
	w.expect(`{"city":{"$ne":"Paris"}}`)
	// What is not said again stays; another provider brings its own platform.
	w.apply(news, phone(0), phone(1, android))
	w.expect(`{"platform":"macos","city":"Paris"}`, 0)
	w.expect(`{"platform":"android"}`, 1, 2)
	if v := w.shard.view(t, 0); v.Platform != "macos" || v.Region != "FR-IDF" || v.City != "Paris" || v.AppVersion != "4.10.2" || len(v.Attributes) != 0 {
		t.Errorf("%+v", v)
	}
}

// Older builds wrote city, region and app_version as attributes, of people too
// and of any type: they are the native fields' values. A platform was never
// written, whatever an attribute of that name says.
func TestAttributesThatBecameFields(t *testing.T) {
	w := newWorld(t)
	of4 := func(u *record.Upsert) {
		u.Attributes = append(u.Attributes, &record.Attribute{Name: "app_version", Value: &record.Attribute_Real{Real: 4.5}})
		u.Tags = append(u.Tags, &record.TagSet{Name: "region", Add: []string{"x"}})
	}
	w.apply(news, &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: UserKey("ann"),
		Attributes: []*record.Attribute{{Name: "city", Value: &record.Attribute_Text{Text: "Lyon"}}}}}})
	w.apply(news, phone(0, of("ann")), phone(1, with("city", "Nice"), with("platform", "web")), phone(2, of4))
	w.expect(`{"city":"Lyon"}`, 0)
	w.expect(`{"city":{"$ne":"Lyon"}}`, 1)
	w.expect(`{"platform":"ios"}`, 0, 1, 2)
	w.expect(`{"app_version":{"$exists":true}}`, 2)
	w.expect(`{"app_version":{"$startsWith":"4"}}`)
	w.expect(`{"region":{"$exists":true}}`)
	if v := w.shard.view(t, 2); v.AppVersion != "4.5" || len(v.Attributes) != 0 {
		t.Errorf("%+v", v)
	}
	w.apply(news, phone(1, func(u *record.Upsert) { u.City = "Brest" }))
	w.expect(`{"city":"Brest"}`, 1)
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
		s, err := decodeShard(0, file)
		if err != nil {
			t.Fatal(err)
		}
		w := newWorld(t)
		w.shard = s
		w.expect(`{"country":"FR"}`, 0, 2)
		w.expect(`{"tags":{"$contains":"sport"}}`, 2)
		w.expect(`{"score":2.5}`, 1)
		w.expect(`{"last_active":{"$gte":"now-1d"},"provider":"apns"}`, 0, 1, 2)
		w.expect(`{"platform":"ios"}`, 0, 1, 2)
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
