// Package mem is the store in memory: for the simulator and for quick tests.
//
// It starts no goroutine and reads no clock but the one it is given, so that a
// run can be stepped and repeated. Nothing survives the process. It reads and
// writes memory alone and must never import a room above store.
package mem
