// Package target is the targeting language: it parses and checks a query and
// prints it back. It evaluates nothing; index does.
//
// A query is a JSON object. Its keys are names or logic, and several keys mean
// that all must hold; the empty object matches everyone:
//
//	{"country": "FR", "tags": {"$contains": ["politics"]}}
//	{"$or": [{"age": {"$in": [18, 19]}}, {"$not": {"opted_in": true}}]}
//
// Logic: $and and $or take an array of queries, at least one; $not takes one
// query. A name takes a value, short for $eq, or an object of operators that
// must all hold:
//
//	$eq        a value              the attribute equals it
//	$in        array of values      the attribute equals one of them
//	$contains  text or array of it  the tag set holds at least one of them
//	$exists    true or false        there is, or is not, such an attribute or a tag in such a set
//
// Values are text, numbers, true and false. Text equals an attribute of type
// text or URL byte for byte, and a time attribute when it is RFC 3339 and names
// the same instant. A number equals integer and float attributes of exactly
// the same numeric value. Values of different types are never equal.
//
// Missing values have one rule: a clause on a name that a subscription has no
// value for is false, except {"$exists": false}, which is true; $not turns
// around whatever stands in it. So {"$not": {"country": "FR"}} matches those
// without a country too.
//
// Native fields have names that no attribute can take (Reserved): provider
// (apns, fcm or webpush), language (BCP 47 tag, compared in lower case), zone
// (IANA time zone) and opted_in (true or false). Attributes and tag sets have
// names of 1 to 64 characters of [a-z0-9_].
//
// The room reads and writes nothing and imports the root package at most.
package target
