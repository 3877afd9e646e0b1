// Package servertest holds bulk to servers that others wrote: nghttpd, nginx,
// h2o, Node and Go's x/net each take many pushes as a real process.
//
// It holds tests only, behind the build tag servers, because they need the
// programs nghttpd, nginx, h2o and node: go test -tags servers
// ./bulk/servertest. Writes temporary folders and loopback sockets. Nothing may
// import it.
package servertest
