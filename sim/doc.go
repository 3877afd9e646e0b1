// Package sim simulates the push providers: APNs, FCM with its token endpoint,
// and a Web Push service, over real HTTP/2 and TLS 1.3 on the loopback
// interface, each with a ledger of every push that it received.
//
// It reads requests with its own HTTP/2 server, which shares nothing with
// bulk, so that a mistake in one is not hidden by the same mistake in the
// other. h2spec passes against it with its strict cases and no exception:
//
//	go test -tags h2spec ./sim -run H2Spec
//
// Its answers are a function of (seed, token, attempt) and never of
// order or time, apart from quotas and from what happens to a connection as a
// whole. It writes nothing but the credentials file that its Config names.
//
// The road of a push: pipe (bytes in and out), conn (frames), hpack and pattern
// (headers), apns, fcm or webpush (checks), judge (fault drawn for the token),
// ledger. A connection's goroutine takes all that there is to read, and writes
// the answers to it at once; no push costs a lock, an allocation or a clock.
//
// Faults are options of each provider, for `tocsin sim --faults` and, in flight,
// for POST /faults of the control endpoint. Shares of the addresses get a
// wrong answer or none (Shares), single ones a script; what befalls whole
// connections is Network: GOAWAY on each at a period, resets, bursts of
// REFUSED_STREAM, connections that go dead, a slow drip, refused handshakes. Delay and
// Quota may change later and unannounced (Then). All are bounded, and drawn by
// the seed where there is a choice. An answer that is delayed costs neither a
// goroutine nor a timer: those of a connection that leave at about the same
// moment leave together.
//
// It must never import bulk, a provider or anything above them; products
// import it only to run `tocsin sim`, and tests to have somebody to talk to.
package sim
