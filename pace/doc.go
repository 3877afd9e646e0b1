// Package pace decides when pushes may leave: a governor of quotas and of
// credentials, and a scheduler between classes and projects.
//
// One machine serves a process. It is pure: events in, effects out, time is
// passed in. It obeys the configured quota of each subject (law L7), what a
// provider asks with Retry-After, the room of each route, the rate that a client
// chose for a send, and lets a credential
// that was never used, or was refused, try one push before the rest.
//
// Reads and writes nothing. Imports provider and the root package; must never
// import a clock, a journal or the rooms that ask it.
package pace
