// Package plan is the only room that waits for a time of day. For one shard
// number it reads sends and the ledger, cuts each send that is due into slices
// for the shards that can hold a recipient, and issues permissions to try
// pushes again when their time has come.
//
// Reads: the journal's sends and ledger of its shard number, its own rows.
// Writes: slices of every shard, its own rows in table "plan".
//
// Machine is pure: no clock, no randomness, no goroutine, no I/O. Run is its
// shell. A slice may be appended twice (after a crash, or a lost reply): its
// readers drop the second, because a send is opened once on a shard and a
// permission that was used up finds nothing.
//
// Must never import: fanout, receipt, api, node, or anything beside or above.
package plan
