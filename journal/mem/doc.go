// Package mem is the journal in memory: for the simulator and for quick tests.
//
// It starts no goroutine, reads no clock and draws nothing, so that a run can be
// stepped and repeated. It leaves gaps between positions, as other engines may,
// so that code that computes with positions fails early. Nothing survives the
// process. It reads and writes memory alone and must never import a room above
// journal.
package mem
