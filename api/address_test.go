package api

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAnAddressIsBoundedByItself(t *testing.T) {
	a, now := newAddresses(10, 3, 100), time.Unix(1_800_000_000, 0)
	calls := func(from string, n int) (refused int) {
		for range n {
			if a.call(now, from) > 0 {
				refused++
			}
		}
		return refused
	}
	for _, c := range []struct {
		from    string
		refused int
	}{{"203.0.113.7:1000", 2}, {"203.0.113.7:2000", 5}, {"203.0.113.8:1000", 2}, {"[2001:db8::1]:5", 2}, {"[2001:db8::2]:5", 5}, {"[2001:db8:0:1::2]:5", 2},
		{"[::ffff:203.0.113.8]:9", 5}, {"127.0.0.1:5", 0}, {"10.1.2.3:5", 0}, {"[fd00::1]:5", 0}, {"pipe", 0}} {
		if have := calls(c.from, 5); have != c.refused {
			t.Errorf("%s: %d of 5 calls refused, want %d", c.from, have, c.refused)
		}
	}
	if wait := a.call(now, "203.0.113.7:1"); wait != 100*time.Millisecond {
		t.Errorf("to wait %v", wait)
	}
	now = now.Add(100 * time.Millisecond)
	if have := calls("203.0.113.7:1", 2); have != 1 {
		t.Errorf("%d of 2 refused after the wait", have)
	}
	for i := range 1000 {
		a.call(now, fmt.Sprintf("198.51.%d.%d:1", i/250, i%250))
	}
	if len(a.known) != 100 || a.recent.Len() != 100 {
		t.Errorf("%d addresses are kept", len(a.known))
	}
}

// The bound stands before the key is looked at, and only at the device API.
func TestADeviceThatCallsTooOftenIsToldWhenToComeBack(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.DeviceRate, c.DeviceBurst = 1, 2 })
	p, _ := w.newProject("a")
	status := func(path, key string) (int, string) {
		r := httptest.NewRequest("POST", path, strings.NewReader(`{}`))
		r.RemoteAddr = "203.0.113.7:1000"
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		w.server.ServeHTTP(answer, r)
		return answer.Code, answer.Header().Get("Retry-After")
	}
	for range 2 {
		if code, _ := status("/v1/device/subscriptions", p.DeviceKey); code == http.StatusTooManyRequests {
			t.Fatal("refused at once")
		}
	}
	if code, after := status("/v1/device/subscriptions", "tcd_wrong"); code != http.StatusTooManyRequests || after != "1" {
		t.Fatalf("%d, Retry-After %q", code, after)
	}
	if code, _ := status("/v1/targets/count", p.Key); code == http.StatusTooManyRequests {
		t.Fatal("the server API is bounded, too")
	}
}
