// Package clustertest runs one installation as people run it on a cluster:
// real Kafka and Cassandra prepared by `tocsin cluster init`, and processes of
// the real binary with roles, which ask each other over mutual TLS. What left is
// judged by the simulated providers' ledger.
//
//	go test -tags engines ./node/clustertest -v
//
// Nothing may import it.
package clustertest
