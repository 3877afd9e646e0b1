// Package cli is the command line: it starts a node or simulated providers,
// talks to a running node through client, and holds the demo.
//
// Reads its arguments, environment variables that begin with TOCSIN_ in their
// place, and the files it is given. Writes results to standard output, progress
// and errors to standard error. Imports node only to start one, and must never
// import a room inside it: what the commands know of a running node they know
// from its API. Engines of a cluster it prepares before there is a node.
package cli
