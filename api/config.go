package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/target"
)

// Config bounds what a request may cost.
type Config struct {
	Body        int           // bytes of a JSON body
	Batch       int           // bytes of a batch of subscriptions
	Depth       int           // levels of JSON
	Values      int           // values in a JSON body
	BodyTime    time.Duration // to read a body; between two reads of an import
	RequestTime time.Duration // to answer
	Requests    int           // of one project at the same time, streams aside; and an eighth of them that ask about targets
	Streams     int           // of one project at the same time: imports and event streams
	DeviceRate  int           // calls a second of one network address to the device API
	DeviceBurst int           // that it may make at once
	Line        int           // bytes of one line of an import
	Lists       int           // of a project
	Segments    int           // the same
	Entries     int           // of one list, about
	Poll        time.Duration // between two looks at what an event stream follows
	Forecast    time.Duration // that the answer to a send waits for its forecast
	Profile     int           // bytes of values and tags that a person, or a subscription, may have
	Names       catalogue.Config
	Dear        time.Duration // of processor time: a question about a target that costs more goes the slow lane
	Dearest     time.Duration // a target that costs more is refused, that of a send too
	Target      target.Config
}

// Default returns the limits of a new installation.
func Default() Config {
	return Config{
		Body: 8 << 20, Batch: 16 << 20, Depth: 32, Values: 400_000,
		BodyTime: 30 * time.Second, RequestTime: 30 * time.Second,
		Requests: 256, Streams: 32, DeviceRate: 20, DeviceBurst: 200, Line: 64 << 10, Lists: 1000, Segments: 1000, Entries: 10_000_000, Poll: 200 * time.Millisecond, Forecast: 20 * time.Millisecond,
		Dear: 250 * time.Millisecond, Dearest: 5 * time.Second,
		Profile: 64 << 10, Names: catalogue.Default(), Target: target.Default(),
	}
}

// Validate refuses limits that would refuse every request.
func (c Config) Validate() error {
	if min(c.Body, c.Batch, c.Depth, c.Values, c.Requests, c.Streams, c.DeviceRate, c.DeviceBurst, c.Line, c.Lists, c.Segments, c.Entries, c.Profile) < 1 || min(c.BodyTime, c.RequestTime, c.Poll, c.Forecast, c.Dear, c.Dearest) <= 0 {
		return errors.New("api: every limit is above 0")
	}
	if c.Lists > store.MaxScan {
		return fmt.Errorf("api: lists are %d, want at most %d", c.Lists, store.MaxScan)
	}
	return errors.Join(c.Names.Validate(), c.Target.Validate())
}
