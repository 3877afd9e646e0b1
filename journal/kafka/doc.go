// Package kafka is the journal on a Kafka cluster: a topic for each of the four
// logs, with a partition for each shard, and the Group that shares the shards
// among processes.
//
// A position is the record's offset plus one. Append waits for all replicas in
// sync. An append that was given up on stays in line: nothing that is appended
// to its partition later can come before it. End asks the partition's leader. A
// leader newly elected says nothing until what its predecessor acknowledged is
// visible (KIP-207), and what this process appended is counted in any case; only
// a leader that was cut off from the other brokers, but not from this process,
// may tell less than another process was acknowledged, until it is found out, 2 s
// at most. That a record is missing is noticed by its offset: then, and when a
// reader has got further than the log reaches, ErrLost tells that the cluster
// lost what it had acknowledged.
//
// However many shards there are, a process has one connection of each kind to a
// broker: for appends, for questions, for reading what lies back, and one that
// waits for new records of all partitions that somebody waits at. Reads and
// writes topics of one prefix. Must never import a room above journal.
package kafka
