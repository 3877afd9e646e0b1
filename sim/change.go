package sim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Change is one of options that nobody announces.
type Change struct {
	After Duration        `json:"after"` // since the change before, or since the options were set
	Set   json.RawMessage `json:"set"`   // the options that change, {"quota":150000}; the others stay
}

const maxChanges = 1000

// with returns the options with those of a JSON object changed. What was to
// come is dropped, and what had its turn is not repeated.
func (o Options) with(object []byte) (Options, error) {
	o.Then, o.Network.Silent, o.Script = nil, 0, maps.Clone(o.Script)
	in := json.NewDecoder(bytes.NewReader(object))
	in.DisallowUnknownFields()
	if err := in.Decode(&o); err != nil {
		return o, fmt.Errorf("sim: options: %w", err)
	}
	return o, nil
}

// following compiles the options after the first change to come, or nil.
func (o Options) following() (*rules, error) {
	if len(o.Then) == 0 {
		return nil, nil
	}
	if len(o.Then) > maxChanges {
		return nil, fmt.Errorf("sim: %d changes: want at most %d", len(o.Then), maxChanges)
	}
	if o.Then[0].After < 0 {
		return nil, errors.New("sim: a change is in the past")
	}
	next, err := o.with(o.Then[0].Set)
	if err == nil && next.Then != nil {
		err = errors.New("sim: a change holds changes")
	}
	if err != nil {
		return nil, err
	}
	next.Then = o.Then[1:]
	return next.compile()
}

// set puts options in force.
func (v *service) set(o Options) error {
	r, err := o.compile()
	if err == nil {
		v.install(r, nil)
	}
	return err
}

// install puts rules in force, those that follow others only while these are.
// Streams are advertised anew on every connection when their number changes.
func (v *service) install(r, following *rules) {
	v.changing.Lock()
	before := v.rules.Load()
	if v.stopped || following != nil && following != before {
		v.changing.Unlock()
		return
	}
	if before != nil {
		close(before.over)
		if before.timer != nil {
			before.timer.Stop()
		}
	}
	v.rules.Store(r)
	v.trouble.refuse.n.Store(0)
	v.trouble.silence.n.Store(int64(r.Network.Silent))
	if n := r.Network; n.GoAwayPeriod > 0 || n.ResetPeriod > 0 || n.RefusePeriod > 0 {
		v.server.while(func() { v.disturb(n, r.over) })
	}
	if r.next != nil {
		r.timer = time.AfterFunc(time.Duration(r.Then[0].After), func() { v.install(r.next, r) })
	}
	v.changing.Unlock()
	if before == nil || before.Streams == r.Streams {
		return
	}
	for _, c := range v.server.live() {
		if c.ready.Load() {
			c.setStreams(uint32(r.Streams))
		}
	}
}

// stop ends the changes and every connection.
func (v *service) stop() {
	v.changing.Lock()
	v.stopped = true
	if timer := v.rules.Load().timer; timer != nil {
		timer.Stop()
	}
	v.changing.Unlock()
	v.server.stop()
}

// SetFaults changes the options of providers as POST /faults does:
// {"apns":{"shares":{"gone":0.01}}}. What is absent stays.
func (c *Config) SetFaults(text []byte) error {
	all := map[tocsin.Provider]Options{tocsin.APNs: c.APNs, tocsin.FCM: c.FCM, tocsin.WebPush: c.WebPush}
	if _, err := mergeFaults(all, text); err != nil {
		return err
	}
	c.APNs, c.FCM, c.WebPush = all[tocsin.APNs], all[tocsin.FCM], all[tocsin.WebPush]
	return c.Validate()
}

// mergeFaults changes options by provider and returns the providers changed.
func mergeFaults(all map[tocsin.Provider]Options, text []byte) ([]tocsin.Provider, error) {
	var objects map[tocsin.Provider]json.RawMessage
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, fmt.Errorf("sim: faults: %w", err)
	}
	var changed []tocsin.Provider
	for p, object := range objects {
		old, known := all[p]
		if !known {
			return nil, fmt.Errorf("sim: no such provider: %v", p)
		}
		o, err := old.with(object)
		if err != nil {
			return nil, err
		}
		all[p] = o
		changed = append(changed, p)
	}
	return changed, nil
}
