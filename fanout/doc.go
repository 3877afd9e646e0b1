// Package fanout is the sender: it owns shards, opens their slices, claims
// ranges of pages, lets them leave through a provider's lane and settles what
// became of them in the ledger.
//
// A pure machine (Machine) decides for one shard; a shell (Owner) runs its
// effects. Events and effects are per range, never per push.
//
// Reads slices and ledger of its shard, the audience of its shard, recipients
// that stand in the store, contents, credentials and weights. Writes ledger
// records of its shard. Imports
// audience, content, pace, ledger, provider and below; must never import plan,
// receipt, api or a provider's own package.
package fanout
