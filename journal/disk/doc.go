// Package disk is the journal on one machine's disk, on Pebble.
//
// A row of the database is one record; positions are consecutive in a
// partition, so a missing record is noticed when it is read. The records
// appended last are also kept in memory: reading the tail touches no disk, and
// Wait is woken by the append itself. Most records are trimmed before their
// tables would be merged: those are not compressed, and merged late. What is
// checked of the files, and what a power loss together with damage can hide, is
// said in package folder.
//
// Reads and writes one folder, which no other process may have open. Must never
// import a room above journal, nor store itself.
package disk
