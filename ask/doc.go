// Package ask holds the questions that are put to shards, what they answer, and
// what is worked out from that: the forecast of a send.
//
// A shard answers for itself. Network asks it where it lives: directly in this process,
// else another one over HTTP/2 on mutual TLS, on a listener that serves nothing else
// (Serve). Questions and answers are JSON, bounded in size and time; the asker's
// deadline and cancel reach the owner. What nobody answers for is told as Unanswered,
// so that a sum can say which shards are missing. Which process answers for
// what stands in a row each, that who answers keeps (Sit) and who asks reads
// (Seats); it tells where to ask, and fences nothing: the ledger's take does.
// Forecast is arithmetic over what is ahead, what providers grant and what was
// measured: the same outlook gives the same forecast.
//
// Reads and writes: its own table seat. Must never import the rooms that answer.
package ask
