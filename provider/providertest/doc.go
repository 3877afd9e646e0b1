// Package providertest decides what a provider is: a conformance kit that each
// of them passes against a small HTTP/2 server over real TLS.
//
// It is imported by tests alone. Reads and writes loopback sockets; imports
// provider and the root package, and no provider.
package providertest
