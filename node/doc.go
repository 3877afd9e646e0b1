// Package node is one process: configuration, wiring, start and stop. It is
// the only room that knows all the others, and has no logic of its own beyond
// that.
//
// What lives with a shard is built, run and undone by one function a role
// (shard.go), whenever its group hands the shard to this process; local knows what
// lives here now.
//
// Reads and writes its data folder: the journal, the store, snapshots, the key
// file and the first admin key; on a cluster Kafka and Cassandra instead, as Install
// has prepared them. Nothing may import it but cli, bench and the
// tests below it.
package node
