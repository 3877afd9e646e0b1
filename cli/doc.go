// Package cli is the command line: it starts a node or simulated providers,
// talks to a running node through client, and holds the demo.
//
// Reads its arguments, environment variables that begin with TOCSIN_ in their
// place, and the files it is given. Writes results to standard output, progress and
// errors to standard error. Must never import a room inside a node, only
// node itself to start one: what the commands know of a running node they know
// from its API.
package cli
