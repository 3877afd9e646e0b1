package node_test

import (
	"math"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Alone, as it is about time. Under a quota the last push leaves when it was said to, within 30 %, and the
// send tells how wrong the forecast was.
func TestForecastUnderAQuota(t *testing.T) {
	const people, perMinute = 40_000, 300_000
	town := newTown(t, nil)
	set, _ := town.credential(tocsin.APNs)
	set.Quota = perMinute
	if _, err := town.api.SetCredential(t.Context(), town.project.ID, set); err != nil {
		t.Fatal(err)
	}
	town.populate(tocsin.APNs, people)
	request := client.SendRequest{Target: everybody(), Message: message()}
	dry, err := town.api.DryRun(t.Context(), request)
	if err != nil || dry.Forecast == nil || dry.Forecast.Pushes != people || dry.Forecast.Reason != "quota" || dry.Forecast.Partial {
		t.Fatalf("%+v, %v", dry.Forecast, err)
	}
	if least := 1000.0 * people / perMinute * 60; dry.Forecast.Last < least {
		t.Fatalf("%v ms is less than the quota takes", dry.Forecast.Last)
	}
	now := town.ended(town.send(everybody()))
	f := now.Forecast
	if f == nil || f.Error == nil || f.Reason != "quota" || math.Abs(f.Last-dry.Forecast.Last) > 0.05*f.Last {
		t.Fatalf("%+v, before it %+v", f, dry.Forecast)
	}
	t.Logf("last %.0f ms, forecast %.0f ms: %+.1f %%", now.Drift.Last, f.Last, 100**f.Error)
	if math.Abs(*f.Error) > 0.3 {
		t.Errorf("forecast %.0f ms, came %.0f ms", f.Last, now.Drift.Last)
	}
}
