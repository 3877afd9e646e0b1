// Package index keeps the attributes and tag sets of one project on one shard
// in columns and sets of rows, and runs targets on them.
//
// Rows are ordinals: small numbers given by the caller, never changed. An
// attribute is a column, of the shape that its values ask for:
//
//   - up to 1,024 distinct values: codes into a dictionary, 1 or 2 bytes a row,
//     and for each value the set of its rows, 2 bytes a row at most. A clause
//     joins sets; a range, prefix, version or distance is tested on the distinct
//     values first;
//   - more: codes of 2 or 4 bytes a row, which are looked through;
//   - numbers, times and places that are nearly all different: no dictionary, 8
//     bytes a row, and a byte of their order, kept as bits across rows, so that a
//     range looks at the numbers of one row in a hundred only.
//
// A Batch writes the rows of many changes column by column, and reads what it looks
// at in large tables for many rows before it works with any: memory is far, and
// answers several questions at the same time.
//
// A tag set has the rows of each tag and, a row, the list of its tags. Which rows
// have a value costs a bit a row.
//
// A target is compiled for the index as it is: negation goes down to the
// clauses, logic is flattened, and clauses are put in the order in which the
// least work is expected, from the exact counts of their values. It is then
// evaluated for all clauses on 65,536 rows at a time, in 8 KiB of bits: each
// clause looks only at the rows that those before it left undecided, and no
// bitmap of a whole clause is built. New kinds of clauses are leaves: a column,
// or a set of rows.
//
// Events are what people did, apart from the attributes: rows are people, and
// those subscriptions that are nobody's. Each event has, by day, the set of rows
// that did it; totals by row; and the fields of each time by day. A clause on
// an event finds its people first, a block at a time and only those blocks that
// are asked for: it joins the sets of the days or, to count, adds them 64 rows at
// a time. Rows are then looked up as their people.
//
// For snapshots, an index is frozen as streams of parts (parts.go): chunks of
// columns and arenas as they stand in memory, which the writer copies before it
// changes them as long as somebody holds the moment. Tables, counts, orders and
// sets of rows are built anew when a snapshot is read.
//
// Nothing here locks: one writer, and readers only while it does not write.
// Bytes handed out (text of values, arena entries) stay as they are for good;
// they may be kept after later writes.
//
// The room reads and writes nothing outside memory. It imports target, the
// bitmaps and the root package at most; never record, journal or audience.
package index
