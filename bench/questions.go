package main

import "strconv"

// question is one kind of target; its constants are drawn anew each time.
type question struct {
	name string
	draw func(*asker) clause
}

// fiveClauses is the target of the figures to reach: a country AND seen in 30
// days AND one topic or another AND not opted out.
var fiveClauses = question{"five clauses", func(a *asker) clause {
	return all(a.is("country", "$eq"), a.activeSince(28+4*a.random.Float64()), some(a.ofFew("topics", "$contains", 1), a.ofFew("topics", "$contains", 1)), optedIn(true))
}}

// questions are fifty targets with every operator of the language on every type
// of value, alone and together.
var questions = []question{
	{"$eq on text", func(a *asker) clause { return a.is("country", "$eq") }},
	{"$eq on text of many values", func(a *asker) clause { return a.is("town", "$eq") }},
	{"$eq on text of very many", func(a *asker) clause { return a.is("postcode", "$eq") }},
	{"$eq on a URL", func(a *asker) clause { return a.is("page", "$eq") }},
	{"$eq on a flag", func(a *asker) clause { return a.is("premium", "$eq") }},
	{"$eq on an integer", func(a *asker) clause { return a.is("age", "$eq") }},
	{"$eq on unique integers", func(a *asker) clause { return a.is("customer", "$eq") }},
	{"$eq on a float", func(a *asker) clause { return a.is("loyalty", "$eq") }},
	{"$ne on text", func(a *asker) clause { return a.is("plan", "$ne") }},
	{"$ne on a time", func(a *asker) clause { return a.is("last_order", "$ne") }},
	{"$in 5 countries", func(a *asker) clause { return a.among("country", "$in", 5) }},
	{"$in 200 towns", func(a *asker) clause { return a.among("town", "$in", 200) }},
	{"$in 1,000 unique integers", func(a *asker) clause { return a.among("customer", "$in", 1000) }},
	{"$nin 20 devices", func(a *asker) clause { return a.among("device", "$nin", 20) }},
	{"$gt on integers", func(a *asker) clause { return a.is("articles", "$gt") }},
	{"$gte on floats", func(a *asker) clause { return a.is("spent", "$gte") }},
	{"$lt on times", func(a *asker) clause { return a.is("installed", "$lt") }},
	{"$lte on integers of a long tail", func(a *asker) clause { return a.is("visits", "$lte") }},
	{"$between on integers", func(a *asker) clause { return a.between("age") }},
	{"$between on floats", func(a *asker) clause { return a.between("spent") }},
	{"$between on times", func(a *asker) clause { return a.between("installed") }},
	{"$between on unique integers", func(a *asker) clause { return a.between("customer") }},
	{"$exists", func(a *asker) clause { return a.has("last_order", true) }},
	{"$exists: false", func(a *asker) clause { return clause{`{"home":{"$exists":false}}`, everywhere("home_lat IS NULL")} }},
	{"$contains one of a few tags", func(a *asker) clause { return a.tagged("topics", "$contains", 1) }},
	{"$contains one of many tags", func(a *asker) clause { return a.tagged("authors", "$contains", 1) }},
	{"$containsAll two", func(a *asker) clause { return a.tagged("topics", "$containsAll", 2) }},
	{"$containsAny of 20", func(a *asker) clause { return a.tagged("teams", "$containsAny", 20) }},
	{"$startsWith on postcodes", func(a *asker) clause { return a.starts("postcode", 0.45) }},
	{"$startsWith on URLs", func(a *asker) clause { return a.starts("page", 0.75) }},
	{"$startsWith on towns", func(a *asker) clause { return a.starts("town", 0.3) }},
	{"$version $gte", func(a *asker) clause { return a.version("app", "$gte") }},
	{"$version $lt", func(a *asker) clause { return a.version("os", "$lt") }},
	{"$near, 10 km", func(a *asker) clause { return a.near(10) }},
	{"$near, 1,000 km", func(a *asker) clause { return a.near(1000) }},
	{"last_active", func(a *asker) clause { return a.activeSince(60 * a.random.Float64()) }},
	{"last_active, relative", func(a *asker) clause {
		return only(`{"last_active":{"$gte":"now-` + strconv.Itoa(1+a.random.IntN(400)) + `h"}}`)
	}},
	{"last_active today in each one's zone", func(*asker) clause { return only(`{"last_active":{"$gte":"today"}}`) }},
	{"created", func(*asker) clause { return only(`{"created":{"$gte":"now-1d"}}`) }},
	{"has_profile", func(*asker) clause { return clause{`{"has_profile":true}`, everywhere("has_profile")} }},
	{"language and zone", func(a *asker) clause { return all(native("language", "fr"), native("zone", "Europe/Paris")) }},
	{"$and of five types", func(a *asker) clause {
		return all(a.is("country", "$eq"), a.is("premium", "$eq"), a.is("age", "$gte"), a.is("spent", "$gt"), a.activeSince(30))
	}},
	{"$or of five types", func(a *asker) clause {
		return some(a.is("town", "$eq"), a.is("customer", "$eq"), a.tagged("authors", "$contains", 1), a.near(20), a.version("app", "$eq"))
	}},
	{"$not of a text", func(a *asker) clause { return none(a.is("country", "$eq")) }},
	{"$not of an $or", func(a *asker) clause {
		return none(some(a.is("plan", "$eq"), a.tagged("topics", "$contains", 1), a.is("last_order", "$lt")))
	}},
	{"$or of three $and", func(a *asker) clause {
		pair := func() clause { return all(a.is("country", "$eq"), a.ofFew("topics", "$contains", 1)) }
		return some(pair(), pair(), pair())
	}},
	{"tags and no tags", func(a *asker) clause {
		return all(a.tagged("regions", "$containsAny", 3), none(a.tagged("tests", "$contains", 1)), optedIn(true))
	}},
	{"buyers near", func(a *asker) clause { return all(a.near(50), a.is("spent", "$gte"), a.has("last_order", true)) }},
	{"opted out", func(a *asker) clause { return all(optedIn(false), a.activeSince(7)) }},
	{"ten clauses", func(a *asker) clause {
		return all(a.among("country", "$in", 10), a.is("plan", "$ne"), a.between("age"), a.is("articles", "$gte"), a.is("sound", "$eq"),
			a.is("installed", "$lt"), a.version("app", "$gte"), a.ofFew("topics", "$containsAny", 3), a.activeSince(60), optedIn(true))
	}},
}
