// Package client is the Go client of the HTTP API, and the types of the bodies
// that the API takes and gives.
//
// Reads and writes nothing but HTTP. The api room serves these very types, the
// command line and the tests send them; a program of yours may import this
// package alone. Imports the root package only; must never import a room of the
// node that it talks to.
package client
