// Package catalogue keeps the names that a project uses: attributes with their
// one type, sets of tags, events; since when, and who writes them.
//
// Whoever writes first brings a name and fixes the type of an attribute; that is
// durable before his write is. Integers and floats are one type, number; no two
// others are compatible, text and URL included. A name stays until it is deleted,
// also when nobody has a value any more, and counts against the ceiling of its
// project till then. A ceiling refuses new names only.
//
// Names are checked against a View, which never changes: a write costs no look at
// the store unless it brings a name, or its writer uses one for the first time
// that day. What other processes changed is seen within Fresh.
//
// A deletion or a renaming has an edition. It is noted in the row with all that
// is needed to carry it out, then written to the log of every shard, then done;
// whoever finds it half done finishes it. Until it is done nobody writes the names
// it is about. A record that was checked under an older edition says so, and
// audience reads it with the names of now.
//
// A project that has no row, because an older build wrote its subscriptions, is
// learnt from the shards: the type of an attribute is that of most of its values.
//
// Reads and writes table catalogue, one row a project. Imports store, record and
// the root package; must never import audience or a room above it: node hands in
// what asks the shards and what writes to their logs.
package catalogue
