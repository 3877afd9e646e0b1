// Package tocsin holds the vocabulary of the platform as types: identifiers,
// environments, providers, outcomes, classes and the shard hash.
//
// It imports the standard library only, does no I/O, starts no goroutine and
// reads no clock. Every other room imports it; it imports none.
package tocsin
