// Package record holds what is written to the journal: versioned protobuf
// messages, each in an Envelope with an identity and a format level.
//
// An older record is always read. One that needs a newer level is refused by
// name, never guessed at. Imports the root package at most.
package record
