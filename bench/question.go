package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// dialect is how a database writes what SQL leaves open.
type dialect int

const (
	postgres dialect = iota
	duckdb
	sqlite
	dialects
)

var dialectNames = [dialects]string{"PostgreSQL", "DuckDB", "SQLite"}

// clause is one question in the targeting language, and as conditions on the
// table of people; sql is nil where the databases have no such operator.
type clause struct {
	json string
	sql  func(dialect) string
}

// everywhere is a condition that all databases write the same way.
func everywhere(format string, args ...any) func(dialect) string {
	text := fmt.Sprintf(format, args...)
	return func(dialect) string { return text }
}

// all, some and none join clauses. A condition on a value that is missing is
// neither true nor false in SQL; here it is false, and its negation true.
func all(clauses ...clause) clause  { return join("$and", " AND ", clauses) }
func some(clauses ...clause) clause { return join("$or", " OR ", clauses) }
func none(c clause) clause {
	joined := clause{json: `{"$not":` + c.json + `}`}
	if c.sql != nil {
		joined.sql = func(d dialect) string { return "((" + c.sql(d) + ") IS NOT TRUE)" }
	}
	return joined
}

func join(name, word string, clauses []clause) clause {
	var parts []string
	shared := true
	for _, c := range clauses {
		parts = append(parts, c.json)
		shared = shared && c.sql != nil
	}
	joined := clause{json: `{"` + name + `":[` + strings.Join(parts, ",") + `]}`}
	if shared {
		joined.sql = func(d dialect) string {
			parts := make([]string, len(clauses))
			for i, c := range clauses {
				parts[i] = c.sql(d)
			}
			return "(" + strings.Join(parts, word) + ")"
		}
	}
	return joined
}

// asker draws questions about a crowd. Its constants are values of people drawn
// at random, so that what is common is asked for most.
type asker struct {
	crowd  *crowd
	random *rand.Rand
	person person
}

func (c *crowd) asker(seed uint64) *asker {
	return &asker{crowd: c, random: rand.New(rand.NewPCG(c.seed, seed))}
}

// value draws a value of an attribute, and its number among the traits.
func (a *asker) value(name string) *cell {
	for i := range traits {
		if traits[i].name != name {
			continue
		}
		for {
			a.crowd.at(a.random.IntN(a.crowd.size), &a.person)
			if c := &a.person.traits[i]; c.kind != 0 {
				return c
			}
		}
	}
	panic("no attribute " + name) // ours: questions name what is there
}

// literal is a value in the targeting language and in SQL.
func (c *cell) literal() (json, sql string) {
	switch c.kind {
	case client.Text, client.URL:
		return strconv.Quote(c.text), "'" + c.text + "'"
	case client.Integer:
		json = strconv.FormatInt(c.integer, 10)
	case client.Float:
		json = string(appendReal(nil, c.real))
	case client.Boolean:
		json = strconv.FormatBool(c.integer != 0)
	case client.Time:
		return string(append(appendTime([]byte{'"'}, c.integer), '"')), strconv.FormatInt(c.integer, 10)
	}
	return json, json
}

// operators are those of one value or two that SQL has too.
var operators = map[string]string{"$eq": "=", "$ne": "<>", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}

func (a *asker) is(name, op string) clause {
	json, sql := a.value(name).literal()
	return clause{`{"` + name + `":{"` + op + `":` + json + `}}`, everywhere("%s %s %s", name, operators[op], sql)}
}

// among is $in or $nin of so many values.
func (a *asker) among(name, op string, n int) clause {
	var json, sql []string
	for range n {
		j, s := a.value(name).literal()
		json, sql = append(json, j), append(sql, s)
	}
	word := map[string]string{"$in": "IN", "$nin": "NOT IN"}[op]
	return clause{`{"` + name + `":{"` + op + `":[` + strings.Join(json, ",") + `]}}`, everywhere("%s %s (%s)", name, word, strings.Join(sql, ","))}
}

func (a *asker) between(name string) clause {
	low, high := *a.value(name), *a.value(name)
	if low.integer > high.integer || low.real > high.real {
		low, high = high, low
	}
	lowJSON, lowSQL := low.literal()
	highJSON, highSQL := high.literal()
	return clause{`{"` + name + `":{"$between":[` + lowJSON + `,` + highJSON + `]}}`, everywhere("%s BETWEEN %s AND %s", name, lowSQL, highSQL)}
}

func (a *asker) has(name string, yes bool) clause {
	word := map[bool]string{true: "IS NOT NULL", false: "IS NULL"}[yes]
	return clause{fmt.Sprintf(`{"%s":{"$exists":%t}}`, name, yes), everywhere("%s %s", name, word)}
}

// starts asks for a part of the length of a value, 0 to 1.
func (a *asker) starts(name string, part float64) clause {
	text := a.value(name).text
	text = text[:max(1, int(part*float64(len(text))))]
	return clause{fmt.Sprintf(`{"%s":{"$startsWith":"%s"}}`, name, text), func(d dialect) string {
		if d == sqlite {
			return fmt.Sprintf("%s GLOB '%s*'", name, text)
		}
		return fmt.Sprintf("%s LIKE '%s%%'", name, text)
	}}
}

// version compares versions; the tables have their order beside them.
func (a *asker) version(name, op string) clause {
	c := a.value(name)
	return clause{fmt.Sprintf(`{"%s":{"$version":{"%s":"%s"}}}`, name, op, c.text), everywhere("%s_order %s %d", name, operators[op], c.integer)}
}

// near asks for those within a distance of somebody's home: a box, which an
// index may find, and the haversine on the sphere that Tocsin measures on.
func (a *asker) near(km float64) clause {
	c := *a.value("home")
	const earth, degree = 6371.0088, 111.19 // km, the latter rounded down
	north := km/degree + 1e-6
	return clause{fmt.Sprintf(`{"home":{"$near":{"lat":%v,"lon":%v,"km":%v}}}`, c.lat, c.lon, km),
		everywhere("(home_lat BETWEEN %v AND %v AND 2*%v*asin(sqrt(power(sin(radians(home_lat-(%v))/2),2)+cos(radians(%v))*cos(radians(home_lat))*power(sin(radians(home_lon-(%v))/2),2)))<=%v)",
			c.lat-north, c.lat+north, earth, c.lat, c.lat, c.lon, km)}
}

// tagged asks for one tag, any of several or all of them. SQLite is given the
// form that suits it: a list of people where the tag is all that is asked for, a
// look at each person where it is asked of a few.
func (a *asker) tagged(name, op string, n int) clause {
	return a.tags(name, op, n, "id IN (SELECT id FROM tagged WHERE tag=%d)")
}
func (a *asker) ofFew(name, op string, n int) clause {
	return a.tags(name, op, n, "EXISTS (SELECT 1 FROM tagged WHERE tag=%d AND id=people.id)")
}

func (a *asker) tags(name, op string, n int, inSQLite string) clause {
	set := 0
	for tagSets[set].name != name {
		set++
	}
	var json, texts []string
	var numbers []int
	for range n {
		tag := a.random.IntN(len(tagSets[set].tags.list))
		if tagSets[set].tags.table != nil {
			d := dice(a.random.Uint64())
			tag = tagSets[set].tags.draw(&d)
		}
		text := tagSets[set].tags.list[tag]
		json, texts, numbers = append(json, strconv.Quote(text)), append(texts, text), append(numbers, tag)
	}
	return clause{`{"` + name + `":{"` + op + `":[` + strings.Join(json, ",") + `]}}`, func(d dialect) string { return taggedSQL(d, set, op, texts, numbers, inSQLite) }}
}

func taggedSQL(d dialect, set int, op string, texts []string, numbers []int, inSQLite string) string {
	name, every := tagSets[set].name, op == "$containsAll"
	switch d {
	case postgres:
		return fmt.Sprintf("%s %s '{%s}'", name, map[bool]string{true: "@>", false: "&&"}[every], strings.Join(texts, ","))
	case duckdb:
		return fmt.Sprintf("%s(%s, ['%s'])", map[bool]string{true: "list_has_all", false: "list_has_any"}[every], name, strings.Join(texts, "','"))
	}
	var parts []string
	for _, n := range numbers {
		parts = append(parts, fmt.Sprintf(inSQLite, tagNumber(set, n)))
	}
	return "(" + strings.Join(parts, map[bool]string{true: " AND ", false: " OR "}[every]) + ")"
}

// tagNumber is a tag in the table that SQLite has of them.
func tagNumber(set, n int) int { return set*10_000 + n }

// activeSince is a native field against a fixed instant, so that every database
// is asked the same.
func (a *asker) activeSince(days float64) clause {
	at := a.crowd.now.Unix() - int64(days*day)
	return clause{`{"last_active":{"$gte":"` + time.Unix(at, 0).UTC().Format(time.RFC3339) + `"}}`, everywhere("active >= %d", at)}
}

func native(name, value string) clause {
	return clause{fmt.Sprintf(`{"%s":%q}`, name, value), everywhere("%s = '%s'", name, value)}
}

func optedIn(yes bool) clause {
	return clause{fmt.Sprintf(`{"opted_in":%t}`, yes), everywhere("opted_in = %t", yes)}
}

// only is for what the databases are not asked.
func only(json string) clause { return clause{json: json} }
