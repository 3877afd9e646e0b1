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
	{"$eq on unique integers", func(a *asker) clause { return a.is("customer", "$eq") }},
	{"$eq on a float", func(a *asker) clause { return a.is("loyalty", "$eq") }},
	{"$ne on text", func(a *asker) clause { return a.is("plan", "$ne") }},
	{"$in 200 towns", func(a *asker) clause { return a.among("town", "$in", 200) }},
	{"$in 1,000 unique integers", func(a *asker) clause { return a.among("customer", "$in", 1000) }},
	{"$nin 20 devices", func(a *asker) clause { return a.among("device", "$nin", 20) }},
	{"$gt on integers", func(a *asker) clause { return a.is("articles", "$gt") }},
	{"$gte on floats", func(a *asker) clause { return a.is("spent", "$gte") }},
	{"$lte on integers of a long tail", func(a *asker) clause { return a.is("visits", "$lte") }},
	{"$between on integers", func(a *asker) clause { return a.between("age") }},
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
	{"$version $gte", func(a *asker) clause { return a.version("app", "$gte") }},
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
	{"event, ever", func(a *asker) clause { return a.did("opened", deedParts{}) }},
	{"event within some days", func(a *asker) clause { return a.did("read", deedParts{since: a.midnight()}) }},
	{"event three times or more within some days", func(a *asker) clause { return a.did("read", deedParts{since: a.midnight(), least: 3}) }},
	{"event twice in one section", func(a *asker) clause {
		return a.did("read", deedParts{since: a.crowd.firstDay(), least: 2, section: a.section()})
	}},
	{"event with an amount, in a currency", func(a *asker) clause {
		return a.did("bought", deedParts{since: a.midnight(), amount: 1 + a.random.IntN(60), currency: currencies.list[a.random.IntN(3)]})
	}},
	{"event less than twice", func(a *asker) clause { return a.did("bought", deedParts{below: 2}) }},
	{"$not of an event", func(a *asker) clause { return none(a.did("opened", deedParts{since: a.midnight()})) }},
	{"event for the last time", func(a *asker) clause { return a.did("read", deedParts{last: a.midnight()}) }},
	{"event for the first time", func(a *asker) clause { return a.did("read", deedParts{first: a.midnight()}) }},
	{"event, country, tag and opt-in", func(a *asker) clause {
		return all(a.is("country", "$eq"), a.ofFew("topics", "$contains", 1), a.did("read", deedParts{since: a.midnight(), least: 2}), optedIn(true))
	}},
	{"ten clauses", func(a *asker) clause {
		return all(a.among("country", "$in", 10), a.is("plan", "$ne"), a.between("age"), a.is("articles", "$gte"), a.is("sound", "$eq"),
			a.is("installed", "$lt"), a.version("app", "$gte"), a.ofFew("topics", "$containsAny", 3), a.activeSince(60), optedIn(true))
	}},
}
