// Package disk is the store on one machine's disk, on Pebble.
//
// A row of the database is one row of the store, or the version that a deleted
// or expired one left behind. An index by time lists rows that can be forgotten
// one day; a background pass of bounded steps removes them and ends with Close.
// What is checked of the files, and what a power loss together with damage can
// hide, is said in package folder.
//
// Reads and writes one folder, which no other process may have open. Must never
// import a room above store, nor journal.
package disk
