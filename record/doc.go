// Package record holds what is written to the journal: versioned protobuf
// messages, each in an Envelope with an identity and a format level.
//
// An older record is always read. One that needs a newer level is refused by
// name, never guessed at. Reads and writes nothing itself. Imports the root
// package at most; must never import a room that owns records.
package record
