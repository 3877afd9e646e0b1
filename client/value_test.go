package client

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// Nanoseconds in 64 bits end in 2262: a later year must not come back as
// another one that is within the limits.
func TestTimesOutOfRangeAreRefused(t *testing.T) {
	for _, year := range []string{"1600", "1699", "2251", "2263", "2400", "2900", "3000", "9999"} {
		var v Value
		err := json.Unmarshal([]byte(`{"time": "`+year+`-06-01T00:00:00Z"}`), &v)
		if err == nil || !strings.Contains(err.Error(), "between 1700 and 2250") {
			t.Errorf("%s is read as %v: %v", year, v.Time(), err)
		}
		if _, err := ParseValue(Time, year+"-06-01T00:00:00Z"); err == nil {
			t.Errorf("a field of %s is taken", year)
		}
	}
	at := time.Date(2250, 12, 31, 0, 0, 0, 0, time.UTC)
	if v := TimeValue(at); v.Check() != nil || !v.Time().Equal(at) {
		t.Errorf("%v comes back as %v, %v", at, v.Time(), v.Check())
	}
}
