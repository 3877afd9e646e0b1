// Package trial is the seeded simulator: it lets the product's own machines
// (accepting, planning, sending, pacing, counting, the audience) run against
// each other in virtual time on engines that fail, in processes that crash,
// stall and wake, towards providers that refuse, slow down and fall silent.
//
// One history is one seed. Whatever is random is drawn from it, so a history
// replays to the byte: Result.Trace is a hash over every event and every
// record. The oracle stands outside: it knows what the simulated providers
// took, what the API answered, the bytes in the log and the rows at the end,
// and asks nothing of the machines. Two questions only the fold of the ledger can
// answer over the whole log: what was claimed and not settled, and what a reader
// that started from snapshots must know by then.
//
// Quotas (law L7) are counted where they arrive, for each process: until
// processes share a quota, each has the whole of it. What a provider takes late
// because it is slow counts as offered when its bytes came.
//
// It is for tests alone: nothing imports it. It must hold no copy of a
// machine's logic; what it plays is the world around: shells, engines,
// processes, providers, clients.
package trial
