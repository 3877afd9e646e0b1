// Package journal is the contract of the log: topics cut into partitions, one
// per shard, each an ordered sequence of records. It holds no engine. Group says
// which process works on which shard; Whole is the group of a single process.
//
// Reads nothing, writes nothing. Imports record and the root package at most;
// must never import an engine or a room that reads the log. Engines live in
// journal/mem and journal/disk; journaltest decides what an engine is.
package journal
