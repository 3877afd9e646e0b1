// Package api is the way in: the server API for programs with a key, the
// device API for apps and sites, and the answers as problem+json. It checks
// keys, limits and bodies, turns the bodies of client into records, and
// appends them.
//
// Reads: the store (idempotency keys, sends of a project, imports), what
// shards answer (ask), the ends of the log, sends. Writes: sends,
// cancels, erasures, changes (names of the catalogue too); its own tables send_list,
// idempotency, import, segment, segment_size and erasure; recipients of a send that its
// record does not hold (see audience.StoreExplicit). A send
// is accepted by the Accept machine, which does no I/O, so that trial can
// drive it; send_list follows the log of sends, beside the requests, and
// whoever reads it waits for what is in the log.
//
// Must never import plan, fanout, node, cli or one of the providers.
package api
