// Package snapshot keeps what a shard has made of its log: two snapshots, each
// of which is enough to go on from, so that the log may be trimmed below the
// older one.
//
// A snapshot is a list of parts, which are known by their SHA-256, in files. Its
// own file holds the parts that are new and, at its end, the list of all, with
// the files that hold the others. A file is whole, durable and read back before
// it appears, and never changes then. Parts are taken from the snapshot before
// the last, never from the last: so the two that are kept share no byte, and
// damage to one leaves the other.
//
// Keeper and Kept are the rules; an Engine is where files are: snapshot/disk, a
// folder of this machine, or snapshot/rows, the store, which whoever has the shard
// next reaches from another machine. snapshottest decides what an engine is.
//
// Reads and writes files of an engine. Imports record for what a reader of a log
// has seen; must never import an engine, or who makes or reads the parts.
package snapshot
