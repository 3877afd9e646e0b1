// Package pace decides when pushes may leave: a scheduler between classes and
// projects, and a governor of what each provider takes.
//
// One machine serves a process. It is pure: events in, effects out, time is
// passed in. Fanout asks for one range at a time (Ask) and gets all or the
// first part of it (Grant); it says when the range was written or will not be
// (Left), and when it is answered (Finished).
//
// Scheduler. What is granted and has not left is bounded, over all routes, to
// Config.Ahead of work at the rate at which pushes leave, so that whoever
// comes with a higher class overtakes within that time. Classes are strict
// (urgent, transactional, normal, synthetic), but a lower one that waits gets
// a fiftieth of what leaves before it. Inside a class projects
// share by weight (Weighed, 1 as a rule), by deficit round robin: rounds of a
// small quantum, so that a small send ends when it would if all were served at
// once. Inside a project its routes take turns, and on a route asks are served as they come. Whoever
// cannot leave for a reason of its own (its quota, its route, its rate) is
// passed over: it never holds up another.
//
// Governor. A subject is whom a provider counts: an FCM project, an APNs team
// and topic, a host of Web Push, whoever of our projects use it. In any second
// no more leaves than its configured quota (law L7); the order of classes and
// their floor hold on it too. When the provider asks to slow down nothing
// leaves before it may (Retry-After), and then less: what was accepted between
// two such answers is what is granted. That rate is kept for a while, then a
// little more is tried, and fast more when it was taken, but not while answers
// come late.
// Sends that are not urgent rise to the quota over the subject's ramp.
//
// Shares. Processes that share quotas agree in one row a subject, written only
// where it still is as it was read (Consult, Told): which part each may use, until
// when, what each wants, and what the provider asked of one of them. share.go says
// why all parts together stay within the quota, and what that rests on; Held, that
// a process which was paused or suspended lets nothing leave on a part that has
// ended. A process alone
// (Started without a name) owns all and asks nobody.
//
// It also obeys the rate that a client chose for a send, lets a credential
// that was never used, or was refused, try one push before the rest, and says
// who may come in while much is queued (Admission).
//
// Reads and writes nothing. Imports provider and the root package; must never
// import a clock, a journal or the rooms that ask it.
package pace
