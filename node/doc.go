// Package node is one process: configuration, wiring, start and stop. It is
// the only room that knows all the others, and has no logic of its own beyond
// that.
//
// Reads and writes its data folder: the journal, the store, snapshots, the key
// file and the first admin key. Nothing may import it but cli, bench and the
// tests below it.
package node
