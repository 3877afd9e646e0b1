// Package mem is the journal in memory: for the simulator and for quick tests.
//
// The journal starts no goroutine, reads no clock and draws nothing, so that a run
// can be stepped and repeated; Groups, which move shards between the members of
// a test, start one for each. The journal leaves gaps between positions, as other engines may,
// so that code that computes with positions fails early. Nothing survives the
// process. It reads and writes memory alone and must never import a room above
// journal.
package mem
