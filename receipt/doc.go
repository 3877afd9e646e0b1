// Package receipt turns one shard's ledger into what people ask for: counters
// of a send, drift, the trace of one push, whom a send has reached, and the
// addresses to drop.
//
// Reads: the journal's ledger of its shard, its own rows.
// Writes: its own rows in table "receipt"; `gone` in changes of its shard.
//
// Every row is absolute and carries the position of the ledger that made it as
// its version, so that a replay writes the same rows again and nothing is
// counted twice. Machine is pure: no clock, no randomness, no goroutine, no
// I/O. Shell runs it.
//
// Must never import: plan, fanout, api, node, or anything beside or above.
package receipt
