// Package rows keeps the files of snapshots as rows of the store, where whoever has
// a shard next reaches them from another machine.
//
// A row a shard, written by conditional puts only, names its files. To take them is
// to write it; whoever had them before finds another row than it left, and can
// neither keep a file nor remove one. A file lies in pieces of 256 KiB, 64 of them
// in a partition, under a name that is given once: nobody ever writes into a file of
// somebody else. What nobody needs is named until its pieces are deleted, drafts that
// were not kept too; a deletion is of a higher version than the pieces, so that
// those that an owner of before writes too late are deleted with the others.
//
// No rows expire: a shard in which nothing changes keeps its snapshots for ever.
//
// Reads and writes tables snapshots and snapshot_pieces. Must never import an
// engine of the store, or what snapshots are of.
package rows
