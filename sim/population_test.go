package sim

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

func people(n int) Population {
	return Population{Seed: 3, Size: n, Mix: DefaultMix, Topic: "app.example", Origin: "https://127.0.0.1:1",
		Now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
}

// The proportions are those that were asked for, and no address comes twice.
func TestPopulation(t *testing.T) {
	const n = 20_000
	p := people(n)
	kinds, countries, seen := make(map[tocsin.Provider]int), make(map[string]int), make(map[string]bool)
	anonymous, recent, shared := 0, 0, make(map[string]int)
	for m := range p.All() {
		kinds[m.Provider]++
		countries[m.Place.Country]++
		if seen[m.Address()] {
			t.Fatalf("%s came twice", m.Address())
		}
		seen[m.Address()] = true
		if m.User == "" {
			anonymous++
		} else {
			shared[m.User]++
		}
		if p.Now.Sub(m.Active) < 72*time.Hour {
			recent++
		}
		if m.Active.After(p.Now) || m.Installed.After(m.Active) {
			t.Fatalf("%+v", m)
		}
	}
	near := func(what string, got int, share float64) {
		t.Helper()
		if want := share * n; float64(got) < want*0.93 || float64(got) > want*1.07 {
			t.Errorf("%s: %d of %d, want about %v", what, got, n, want)
		}
	}
	near("FCM", kinds[tocsin.FCM], 0.6)
	near("APNs", kinds[tocsin.APNs], 0.3)
	near("Web Push", kinds[tocsin.WebPush], 0.1)
	near("France", countries["FR"], 76/99.9)
	near("anonymous", anonymous, 0.2)
	if len(countries) < 20 || recent < n/4 || recent > n*3/4 {
		t.Errorf("%d countries, %d recent", len(countries), recent)
	}
	for user, devices := range shared {
		if devices > 2 {
			t.Fatalf("%s has %d devices", user, devices)
		}
	}
}

// A member depends on its number and the fields, and a line of an import says
// the same as the API's type.
func TestPopulationLines(t *testing.T) {
	p := people(300)
	other := p
	other.Project = 1
	for i := range p.Size {
		m := p.At(i)
		if !reflect.DeepEqual(m, p.At(i)) {
			t.Fatalf("member %d differs from itself", i)
		}
		if second := other.At(i); second.Address() == m.Address() || m.User != "" && second.User == m.User {
			t.Fatalf("member %d is in two projects", i)
		}
		line := m.AppendLine(nil)
		var got client.Subscription
		decoder := json.NewDecoder(strings.NewReader(string(line)))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if want := m.Subscription(); !reflect.DeepEqual(got, want) {
			t.Fatalf("line  %s\ngot  %+v\nwant %+v", line, got, want)
		}
		if _, err := time.LoadLocation(m.Place.Zone); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkPopulationLines(b *testing.B) {
	p := people(0)
	var line []byte
	for i := 0; b.Loop(); i++ {
		m := p.At(i)
		line = m.AppendLine(line[:0])
	}
}
