// Package ask holds the questions that are put to shards, what they answer, and
// what is worked out from that: the forecast of a send.
//
// A shard answers for itself; node hands in who does. Forecast is arithmetic over
// what is ahead, what providers grant and what was measured: the same outlook
// gives the same forecast.
//
// Reads and writes nothing. Imports provider, target, record and the root
// package; must never import the rooms that answer or a clock.
package ask
