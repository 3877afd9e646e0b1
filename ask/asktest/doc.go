// Package asktest makes what tests of questions between processes need: an
// authority that signs their certificates, and homes on loopback that answer.
//
// Reads and writes nothing but loopback connections. Only tests import it; it must
// never import a room above ask.
package asktest
