package sim

import (
	"errors"
	"fmt"
	"time"
)

// Config says where the simulated providers listen and how they behave.
type Config struct {
	Host string // to listen on, a loopback address
	Seed uint64 // of answers, and of the population's keys

	// Ports; 0 takes any free one.
	APNsPort, FCMPort, TokenPort, WebPushPort, BrowserPort, ControlPort int

	// Projects is how many sets of credentials are made: an Apple team, a
	// Firebase project and the rest, for each.
	Projects int

	// CredentialsFile is where Run writes the first project, ready for
	// POST /v1/projects; SetupFile gets the Setup of all. "": nowhere.
	CredentialsFile, SetupFile string

	// DecryptEvery: one in so many Web Push bodies is decrypted; 1: all.
	DecryptEvery int

	StreamWindow int // flow-control window granted to a stream, bytes
	ConnWindow   int // and to a connection, at least 65,535

	APNs, FCM, WebPush Options
}

// Default is a provider that takes everything at once, with the quotas that
// the real ones document.
func Default() Config {
	c := Config{Host: "127.0.0.1", Seed: 1, Projects: 1, DecryptEvery: 100, StreamWindow: 65535, ConnWindow: 4 << 20,
		APNs: defaultOptions(), FCM: defaultOptions(), WebPush: defaultOptions()}
	c.APNs.FirstStream = 1
	c.FCM.Streams, c.FCM.Quota, c.FCM.GoAwayDebug = 100, 600_000, ""
	c.WebPush.Streams, c.WebPush.GoAwayDebug, c.WebPush.TokenAge = 100, "", Duration(24*time.Hour)
	return c
}

// Validate reports the first mistake.
func (c *Config) Validate() error {
	switch {
	case c.Host == "":
		return errors.New("sim: no host to listen on")
	case c.Projects < 1 || c.Projects > 10_000:
		return fmt.Errorf("sim: projects is %d: want 1 to 10,000", c.Projects)
	case c.DecryptEvery < 1:
		return fmt.Errorf("sim: decrypt every %d: want at least 1", c.DecryptEvery)
	case c.StreamWindow < 1 || c.StreamWindow > maxWindow:
		return fmt.Errorf("sim: stream window %d: want 1 to %d", c.StreamWindow, maxWindow)
	case c.ConnWindow < firstWindow || c.ConnWindow > maxWindow:
		return fmt.Errorf("sim: connection window %d: want %d to %d", c.ConnWindow, firstWindow, maxWindow)
	}
	for _, port := range []int{c.APNsPort, c.FCMPort, c.TokenPort, c.WebPushPort, c.BrowserPort, c.ControlPort} {
		if port < 0 || port > 65535 {
			return fmt.Errorf("sim: port %d: want 0 to 65535", port)
		}
	}
	for name, o := range map[string]*Options{"apns": &c.APNs, "fcm": &c.FCM, "webpush": &c.WebPush} {
		if err := o.Validate(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
