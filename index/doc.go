// Package index keeps the attributes and tag sets of one project on one shard
// in columns and bitmaps, and runs targets on them.
//
// Rows are ordinals: small numbers given by the caller, never changed. An
// attribute is a column of codes into a dictionary of its values, one to four
// bytes a row; while a column has few values each of them has a roaring bitmap
// of its rows as well, so that a clause is a look-up. A column of numbers that
// are nearly all different gives its dictionary up and keeps them plainly. A
// tag set has a bitmap a tag and, a row, the list of its tags.
//
// Nothing here locks: one writer, and readers only while it does not write.
// Bytes handed out (text of values, arena entries) stay as they are for good;
// they may be kept after later writes.
//
// The room reads and writes nothing outside memory. It imports target, the
// bitmaps and the root package at most; never record, journal or audience.
package index
