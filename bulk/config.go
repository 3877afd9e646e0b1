package bulk

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// Config says how a Pool behaves. All durations are positive.
type Config struct {
	Min int // connections kept once the pool was used or warmed
	Max int // connections at most

	Streams int // most requests under way on a connection, whatever the peer allows
	Buffer  int // bytes gathered for one write

	DialTimeout   time.Duration // TCP, TLS and the peer's first SETTINGS
	AnswerTimeout time.Duration // from the write of a push; then it is Lost
	PingAfter     time.Duration // silence after which a PING asks whether the peer is there
	PingTimeout   time.Duration // further silence after which the connection is given up
	IdleTimeout   time.Duration // connections beyond Min that were not needed for so long, or up to twice, are closed
	BackoffMin    time.Duration // first wait after a failed connection; doubles
	BackoffMax    time.Duration // longest such wait

	// GrowAfter is the time an answer takes at its quickest from which more
	// connections are worth opening when every stream is in use. Below it the processor is the
	// limit, and a further connection would only cost.
	GrowAfter time.Duration

	// Quick, 1 at least, is how many connections are opened however fast answers
	// come, as soon as every stream is in use. With few streams on a connection one alone stands
	// still while its answers are under way, on both sides.
	Quick int

	// Ahead is how much work Capacity offers beyond the streams, at the rate
	// measured, so that a connection never waits for its next batch.
	Ahead time.Duration

	// OneUntilAccepted holds a new connection to one stream until a request on
	// it was accepted, as APNs asks of connections with provider tokens.
	OneUntilAccepted bool
}

// Default is what production uses.
func Default() Config {
	return Config{
		Min: 1, Max: 16,
		Streams: 1000, Buffer: 128 << 10,
		DialTimeout: 10 * time.Second, AnswerTimeout: 30 * time.Second,
		PingAfter: 15 * time.Second, PingTimeout: 5 * time.Second, IdleTimeout: 10 * time.Minute,
		BackoffMin: 100 * time.Millisecond, BackoffMax: 30 * time.Second,
		GrowAfter: 2 * time.Millisecond, Quick: 1, Ahead: 50 * time.Millisecond,
	}
}

// Validate tells what is wrong with the settings.
func (c Config) Validate() error {
	switch {
	case c.Min < 0 || c.Max < 1 || c.Min > c.Max:
		return errors.New("bulk: want 0 <= Min <= Max and Max >= 1")
	case c.Quick < 1 || c.Quick > c.Max:
		return errors.New("bulk: want 1 <= Quick <= Max")
	case c.Streams < 1 || c.Streams > 1<<20:
		return errors.New("bulk: Streams must be 1 to 1,048,576")
	case c.Buffer < 16<<10 || c.Buffer > 1<<20:
		return errors.New("bulk: Buffer must be 16 KiB to 1 MiB")
	}
	for _, d := range []time.Duration{c.DialTimeout, c.AnswerTimeout, c.PingAfter, c.PingTimeout, c.IdleTimeout,
		c.BackoffMin, c.BackoffMax, c.GrowAfter, c.Ahead} {
		if d <= 0 {
			return errors.New("bulk: every duration must be positive")
		}
	}
	return nil
}

// Trust returns TLS settings that trust the root certificates of a PEM text
// alone, or nil, for the system's roots, when it is empty.
func Trust(pem []byte) (*tls.Config, error) {
	if len(pem) == 0 {
		return nil, nil
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, errors.New("no root certificate in the PEM text")
	}
	return &tls.Config{RootCAs: roots}, nil
}
