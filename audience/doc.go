// Package audience is a shard's projection of `changes`: who can be reached,
// where, and what is known of them, all in memory.
//
// Shard applies records in log order, and is pure: no clock, no randomness
// that shows, no goroutine, no I/O. One writer applies; readers take a read
// lock a page or a query at a time. Every subscription has an ordinal, given
// in log order within its project and kept for good: a deleted subscription
// that registers again has the one it had. Stored audiences name ordinals.
//
// Rules of the projection:
//   - a subscription comes into being with its address; changes to one that is
//     not there do nothing, so repeats and late changes are harmless;
//   - an address has one live subscription: a newer registration deletes the
//     older one, on another shard within a second. An opt-out of the older one stays with the
//     address, unless the newer one says otherwise. When nobody chose the newer
//     one's identifier and it is the same person's, the older one goes on in
//     its place, with its identifier and secret;
//   - attributes and tags set on a profile go to all its subscriptions, those
//     that it gets later included; the last change of a name wins, wherever it
//     was made;
//   - the version of an address is the position of the change that brought it,
//     or that vouched for it anew. `gone` deletes only if its version is still
//     the one, and the provider's time is not before the device vouched;
//   - a name of an attribute or a set of tags is deleted or renamed for
//     everybody at once. Records say which edition of the names their writer
//     knew; one that knew less than the shard is read with the names of now;
//   - an entry of a list is a person or a subscription, known or not: it outlives
//     opt-outs, deletions and returns. A list that is replaced is filled as a
//     draft, which takes its place at one moment;
//   - a subscription that gets a profile of another shard moves there with all
//     that is known of it, and every change that was made to it where it was
//     comes after it (moves.go);
//   - who opened a send is known for 30 days of the log: people, with all that
//     they have, and subscriptions that are nobody's, as long as they live. Who
//     got one is not kept here: node hands in who tells it. Both go along with
//     whoever moves to another shard;
//   - who is erased leaves ordinals that are nobody's, and nothing else;
//   - opted in is true until somebody says otherwise.
//
// Segments that are asked for again and again are kept as sets of rows, by what
// their definition means; the definition comes with each query, and is the
// truth.
//
// Follower is the shell: it tails the log from the newest good snapshot, has
// snapshots made (package snapshot) and trims the log below the older of two. A
// snapshot is one moment of the shard (moment.go), in parts: a new kind of state
// names its streams of parts in project.freeze and reads them in restore
// (snapshot.go).
//
// What a shard has for others is carried by two machines a shard, which Ways
// runs: Mover brings subscriptions that move, Directory sees to it that an
// address has one live subscription across shards. Place says where a change to
// a subscription goes.
//
// Beside it stand the rows of explicit recipients that are too many for the
// record of their send: who accepts it writes them, who opens it reads them.
//
// Reads: topic changes, its snapshots. Writes: its snapshots, topic
// changes of other shards, and trims its own; table recipients. Must never import account, a provider, plan, fanout,
// receipt or anything above.
package audience
