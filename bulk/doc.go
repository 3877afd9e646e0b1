// Package bulk is an HTTP/2 client for very many small requests that go to one
// origin: the wire under provider/apns, provider/fcm and provider/webpush.
//
// A Pool keeps as many connections to one origin as rate and latency ask for.
// A batch of pushes is served by one of them, and its rest by another when that
// one leaves, or has no streams left and the other has. A connection's writer
// appends HEADERS and DATA frames of many requests to one large buffer, and its
// reader parses the answers in place and writes each result straight into the batch. Nothing is allocated, looked up in
// a map, handed to a goroutine or asked of the system for a single push.
//
// It obeys RFC 9113 (HTTP/2) and RFC 7541 (HPACK) as a client: what the peer
// announces in SETTINGS also in the middle of a batch, flow control in both
// directions, GOAWAY, refused and reset streams, PING, CONTINUATION, padding,
// informational answers and trailers.
//
// Reads and writes sockets. Imports provider and the root package at most, and
// knows no push service.
package bulk
