// Package target is the targeting language: it parses and checks a query and
// prints it back. It evaluates nothing; index does.
//
// A query is a JSON object. Its keys are names or logic, and several keys mean
// that all must hold; the empty object matches everyone:
//
//	{"country": "FR", "tags": {"$contains": ["politics"]}}
//	{"$or": [{"age": {"$gte": 18}}, {"$not": {"last_active": {"$gte": "now-30d"}}}]}
//
// Logic: $and and $or take an array of queries, at least one; $not takes one
// query. A name takes a value, short for $eq, or an object of operators that
// must all hold:
//
//	$eq $ne             a value             the attribute equals it, or has another value
//	$in $nin            array of values     equals one of them, or has a value that is none of them
//	$gt $gte $lt $lte   a number or a time  lies above it, or below
//	$between            array of two        lies between them, or is one of them
//	$startsWith         text                is text that begins so, byte for byte
//	$version            object of these     is a version, and compares so
//	$near               lat, lon, km        is a place at most so far from a point
//	$contains           text or array of it the tag set holds at least one of them; $containsAny is the same
//	$containsAll        array of text       the tag set holds all of them
//	$exists             true or false       there is, or is not, such an attribute or a tag in such a set
//
// docs/targeting.md says what each means for which type, with examples.
//
// Missing values have one rule: a clause on a name that a subscription has no
// value for is false, except {"$exists": false}, which is true; $not turns
// around whatever stands in it. So {"$not": {"country": "FR"}} matches those
// without a country too, and {"country": {"$ne": "FR"}} does not.
//
// Times that something is compared with may be relative to the instant that a
// query is evaluated for, which is an argument of the evaluation: "now-12h" is
// exact, "today" is the first instant of the day in the person's own zone.
//
// Native fields have names that no attribute can take (Reserved): provider
// (apns, fcm or webpush), platform (ios, android, web and some more), region,
// city and app_version (text), language (BCP 47 tag, compared in lower case), zone
// (IANA time zone), opted_in and has_profile (true or false), created and
// last_active (times, to the second). Others ask whether somebody is in a named
// set: list, segment, sent and opened (the identifier of a send); everybody is
// in it or not, so that $ne is the negation of $eq. Attributes and tag sets have names of 1
// to 64 characters of [a-z0-9_].
//
// An event clause asks what somebody did: {"event": {"name": "bought", "where":
// {"amount": {"$gte": 10}}, "count": {"$gte": 2}, "within": "30d"}}, and when first
// and last. It is counted by days of UTC, those in which a window begins and ends
// as a whole; a count is 0 for who never did it, first and last are missing.
//
// A segment is a query that was saved with a name. A Library reads queries with
// the definitions of the segments that they name; the definitions stay with the
// query, whatever becomes of the names later.
//
// The room reads and writes nothing and imports the root package at most.
package target
