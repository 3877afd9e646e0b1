package fanout

import (
	"errors"
	"fmt"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Config holds the settings of a shard's owner.
type Config struct {
	Window    int           // pushes claimed and unsettled, at most, a shard
	RangeSize int           // pushes of one claim, at most; 1 to tocsin.PageSize, and never above Window
	Chunk     int           // bytes of ordinals in one record of an open
	Retake    time.Duration // wait before taking again after losing the shard or a failed append
	OpenWait  time.Duration // how long an open waits for the grant of the claim that it would carry
	Attempts  int           // whose answer may be lost, where a send names no limit
	Leave     time.Duration // how long a clean end may take

	// Waits before a push is tried again, unless the provider says otherwise:
	// the first is doubled with every attempt, up to Most, and jittered.
	APNs, FCM, WebPush Retry
	Unprocessed        Retry // provably not processed: no fault of anybody's
	Credential         Retry // the credential was refused
}

// Retry is a wait that doubles.
type Retry struct {
	First, Most time.Duration
}

// Default are the settings for production.
func Default() Config {
	return Config{
		Window:    65_536,
		RangeSize: tocsin.PageSize,
		Chunk:     400 << 10,
		Retake:    200 * time.Millisecond,
		OpenWait:  5 * time.Millisecond,
		Attempts:  5,
		Leave:     15 * time.Second,
		// APNs asks for 15 minutes after a 5xx; FCM for at least 10 s, at most an hour.
		APNs:        Retry{15 * time.Minute, time.Hour},
		FCM:         Retry{10 * time.Second, time.Hour},
		WebPush:     Retry{10 * time.Second, time.Hour},
		Unprocessed: Retry{50 * time.Millisecond, 10 * time.Second},
		Credential:  Retry{time.Minute, time.Hour},
	}
}

// Validate says what is wrong with the settings.
func (c Config) Validate() error {
	switch {
	case c.Window < 1:
		return errors.New("fanout: window must be at least 1 push")
	case c.RangeSize < 1 || c.RangeSize > tocsin.PageSize:
		return fmt.Errorf("fanout: range size must be 1 to %d", tocsin.PageSize)
	case c.Chunk < 64 || c.Chunk > 448<<10:
		return errors.New("fanout: chunk must be 64 bytes to 448 KiB")
	case c.Retake <= 0 || c.OpenWait < 0 || c.Leave <= 0:
		return errors.New("fanout: retake and leave must be above 0, open wait not below")
	case c.Attempts < 1 || c.Attempts > 1000:
		return errors.New("fanout: attempts must be 1 to 1000")
	}
	for _, r := range []Retry{c.APNs, c.FCM, c.WebPush, c.Unprocessed, c.Credential} {
		if r.First <= 0 || r.Most < r.First {
			return errors.New("fanout: a retry's first wait must be above 0 and its most not below the first")
		}
	}
	return nil
}
