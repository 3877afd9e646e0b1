package crashtest

import (
	"context"
	"net"
)

// Dial puts failpoints around each Write to a provider: before its bytes, in
// the middle of them, and after the kernel has them all.
func Dial(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &connPoints{c, Process}, nil
	}
}

type connPoints struct {
	net.Conn
	points *Points
}

// pushBytes is the size from which a Write holds pushes, not a handshake or
// the settings of a connection alone.
const pushBytes = 2 << 10

func (c *connPoints) Write(b []byte) (n int, err error) {
	if len(b) < pushBytes {
		return c.Conn.Write(b)
	}
	if c.points.due("connection: write / in the middle") {
		c.Conn.Write(b[:len(b)/2]) // the process dies whatever came of it
		die()
	}
	err = c.points.around("connection: ", []string{"write"}, func() error {
		n, err = c.Conn.Write(b)
		return err
	})
	return n, err
}
