// Package cassandra is the store on a cluster of Apache Cassandra 5.0.
//
// All tables of the store are one table of the database, because all are asked
// the same: a row by its key, a range of keys of one partition, a batch in one
// partition, one conditional put. A place is a partition of the database.
//
//   - A plain row is one cell. Its version is the timestamp of the cell, so that
//     the database itself keeps the highest and nothing is read before a write.
//     Of equal versions it keeps a deletion before a value, and the larger value.
//   - A conditional row is two other cells of the same row, which Paxos alone
//     writes: never mixed with timestamps that a writer chose.
//   - A batch is one mutation of one partition: applied and seen as a whole. The
//     limit of 50 KiB for batches is for those of many partitions; the limit that
//     holds is max_mutation_size.
//   - Reads and writes ask a majority (QUORUM), conditional puts and GetLatest all
//     datacenters (SERIAL). What was answered is on a majority's commit logs.
//
// Reads and writes one keyspace, which Prepare makes. Must never import a room
// above store.
package cassandra
