// Package crashtest kills a real node with SIGKILL and judges from outside
// what is left: from the simulated providers' ledgers and the API's answers.
//
// The package itself holds decorators for the journal, the store, the snapshot
// files and the sockets to providers. Every durable step that passes through
// one is a failpoint on either side of it, at which the process can be told to
// die. They reach a node only by go build -overlay (see build_test.go): the
// product has no switch for them, and the binary does not contain them.
//
// The tests build that node, run it as a process of its own on a real folder
// with the simulated providers in another process, and kill it: at each
// failpoint that a recorded run passed, and at random instants.
//
//	go test ./node/crashtest -run Random -kills 40 -people 100000 -seed 7 -v
//	go test ./node/crashtest -run Points -points -people 100000 -v
//
// It writes a folder under the temporary folder, which it keeps when a law was
// broken. Nothing may import it; it must never import node, which imports it
// in the overlay.
package crashtest
