// Package ledger is the one fold over the records that decide who may send
// what: take, open, claim, settle, close, cancel and steer of one shard.
//
// Every reader (fanout, plan, receipt, whoever answers questions) applies the
// same records in the same order and so holds the same state. A record is
// either in force, for every reader and for ever, or void.
//
//   - A take is in force when it supersedes the current term. Its position
//     becomes the term, the sequence starts again, and every claimed push gets
//     the doubt mark.
//   - An open, claim, settle or close is in force when it carries the current
//     term and the next sequence number and its content fits the state. One
//     that is void by its content still uses up its number.
//   - A cancel carries no term. It may come first, last and again.
//   - A send opens once: see Fold.Finished for how that is remembered.
//   - A steer carries no term either. Of all steers of a send that is not closed
//     the one of the highest version counts.
//
// Pages are a function of the open in force: lots in their order, each cut
// into pages of at most tocsin.PageSize consecutive ordinals, numbered from 0
// over all lots.
//
// Reads and writes nothing. Imports record and the root package; must never
// import a journal, a store or a clock.
package ledger
