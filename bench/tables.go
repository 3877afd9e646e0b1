package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin/client"
)

// columnsOf are the columns of an attribute in the table of people.
func columnsOf(t trait, kind client.ValueKind) []string {
	switch {
	case t.name == "app" || t.name == "os": // versions
		return []string{t.name + " text", t.name + "_order integer"}
	case kind == client.Location:
		return []string{t.name + "_lat double", t.name + "_lon double"}
	case kind == client.Float:
		return []string{t.name + " double"}
	case kind == client.Boolean:
		return []string{t.name + " boolean"}
	case kind == client.Integer || kind == client.Time:
		return []string{t.name + " bigint"}
	}
	return []string{t.name + " text"}
}

// columns are those before the tags, in the order of appendRow.
func columns() []string {
	list := []string{"id bigint", "has_profile boolean", "language text", "zone text", "active bigint", "opted_in boolean", "doer bigint"}
	for _, t := range traits {
		list = append(list, columnsOf(t, kindOf(t))...)
	}
	return list
}

// kindOf finds somebody who has the attribute.
func kindOf(t trait) client.ValueKind {
	c := &crowd{seed: 1, now: time.Unix(1e9, 0)}
	var p person
	for n := 0; ; n++ {
		c.at(n, &p)
		for i := range traits {
			if traits[i].name == t.name && p.traits[i].kind != 0 {
				return p.traits[i].kind
			}
		}
	}
}

func (p *person) appendRow(b []byte) []byte {
	b = strconv.AppendInt(b, int64(p.number), 10)
	b = strconv.AppendBool(append(b, '\t'), p.user >= 0)
	b = append(append(b, '\t'), p.language...)
	b = append(append(b, '\t'), p.zone...)
	b = strconv.AppendInt(append(b, '\t'), p.active, 10)
	b = strconv.AppendBool(append(b, '\t'), p.optedIn)
	b = strconv.AppendInt(append(b, '\t'), int64(p.doer()), 10)
	for i := range p.traits {
		b = p.traits[i].appendColumns(append(b, '\t'), traits[i].name)
	}
	for set := range p.tags {
		b = append(b, "\t{"...)
		for i, n := range p.tags[set] {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, tagSets[set].tags.list[n]...)
		}
		b = append(b, '}')
	}
	return append(b, '\n')
}

func (c *cell) appendColumns(b []byte, name string) []byte {
	switch c.kind {
	case client.Removed:
		if b = append(b, `\N`...); name == "home" {
			b = append(b, "\t\\N"...)
		}
	case client.Location:
		b = strconv.AppendFloat(b, c.lat, 'f', -1, 64)
		b = strconv.AppendFloat(append(b, '\t'), c.lon, 'f', -1, 64)
	case client.Text, client.URL:
		if b = append(b, c.text...); name == "app" || name == "os" {
			b = strconv.AppendInt(append(b, '\t'), c.integer, 10)
		}
	case client.Time:
		b = strconv.AppendInt(b, c.integer, 10)
	default:
		b = c.appendJSON(b)
	}
	return b
}

func (p *person) appendTagged(b []byte) []byte {
	for set := range p.tags {
		for _, n := range p.tags[set] {
			b = strconv.AppendInt(b, int64(tagNumber(set, n)), 10)
			b = append(strconv.AppendInt(append(b, '\t'), int64(p.number), 10), '\n')
		}
	}
	return b
}

// indexed are the columns that have an index of their own in PostgreSQL and
// SQLite; the flags that most people share would not help.
var indexed = []string{"language", "active", "country", "town", "postcode", "plan", "source", "device", "app_order", "os_order", "page", "premium", "age",
	"articles", "visits", "customer", "loyalty", "spent", "installed", "last_order", "home_lat, home_lon", "country, active, opted_in", "doer"}

// deedColumns are those of the table of events, deedIndexes what it has indexes on.
const deedColumns = "doer bigint, name text, told bigint, section text, amount double, currency text"

var deedIndexes = []string{"name, told, doer", "name, section, told, doer", "name, currency, told"}

// load fills and indexes the tables from files of writeTables.
func (b *database) load(ctx context.Context) error {
	begin := time.Now()
	var statements []string
	table := "CREATE TABLE people (" + strings.Join(columns(), ", ")
	deeds := "CREATE TABLE deeds (" + deedColumns + ")"
	file := func(name string) string { return filepath.Join(b.dir, name) }
	var tags []string
	for _, set := range tagSets {
		tags = append(tags, set.name)
	}
	switch b.dialect {
	case postgres:
		b.version = "SHOW server_version"
		statements = []string{strings.ReplaceAll(table, " double", " double precision") + ", " + strings.Join(tags, " text[], ") + " text[])",
			`\copy people FROM '` + file("people.tsv") + `'`, "ALTER TABLE people ADD PRIMARY KEY (id)",
			strings.ReplaceAll(deeds, " double", " double precision"), `\copy deeds FROM '` + file("deeds.tsv") + `'`}
		for _, c := range indexed {
			if c == "page" || c == "postcode" || c == "town" { // for prefixes too
				c += " text_pattern_ops"
			}
			statements = append(statements, fmt.Sprintf("CREATE INDEX ON people (%s)", c))
		}
		for _, set := range tags {
			statements = append(statements, fmt.Sprintf("CREATE INDEX ON people USING gin (%s)", set))
		}
		for _, c := range deedIndexes {
			statements = append(statements, fmt.Sprintf("CREATE INDEX ON deeds (%s)", c))
		}
		statements = append(statements, "VACUUM ANALYZE people", "VACUUM ANALYZE deeds")
	case duckdb:
		b.version = "SELECT version()"
		var types, split []string
		for _, c := range columns() {
			name, kind, _ := strings.Cut(c, " ")
			types = append(types, fmt.Sprintf("'%s': '%s'", name, kind))
		}
		for _, set := range tags {
			types = append(types, fmt.Sprintf("'%s': 'text'", set))
			split = append(split, fmt.Sprintf("CASE WHEN %[1]s = '{}' THEN [] ELSE string_split(trim(%[1]s, '{}'), ',') END AS %[1]s", set))
		}
		statements = []string{"CREATE TABLE people AS SELECT * REPLACE (" + strings.Join(split, ", ") + `) FROM read_csv('` + file("people.tsv") +
			`', delim='\t', header=false, nullstr='\N', quote='', escape='', columns={` + strings.Join(types, ", ") + "})", deeds, `COPY deeds FROM '` + file("deeds.tsv") + `' (delimiter '\t', header false, quote '', escape '')`, "CHECKPOINT"}
	case sqlite:
		b.version = "SELECT sqlite_version()"
		statements = []string{"PRAGMA journal_mode=off", "PRAGMA synchronous=off", "PRAGMA cache_size=-2000000", "PRAGMA temp_store=file", "PRAGMA threads=2",
			strings.Replace(table, "id bigint", "id integer primary key", 1) + ")", "CREATE TABLE tagged (tag integer, id integer)", deeds,
			`.separator "\t" "\n"`,
			fmt.Sprintf(`.import "|cut -f 1-%d %s" people`, len(columns()), file("people.tsv")), ".import " + file("tagged.tsv") + " tagged", ".import " + file("deeds.tsv") + " deeds",
			"UPDATE people SET " + sqliteValues()}
		statements = append(statements, "CREATE INDEX tagged_by_tag ON tagged (tag, id)")
		for i, c := range indexed {
			statements = append(statements, fmt.Sprintf("CREATE INDEX people_%d ON people (%s)", i, c))
		}
		for i, c := range deedIndexes {
			statements = append(statements, fmt.Sprintf("CREATE INDEX deeds_%d ON deeds (%s)", i, c))
		}
		statements = append(statements, "ANALYZE")
	}
	err := b.run(ctx, statements...)
	b.loaded = time.Since(begin)
	if err == nil {
		b.version, err = b.ask(ctx, b.version)
	}
	return err
}

// sqliteValues turn the texts of an import into flags and missing values.
func sqliteValues() string {
	var set []string
	for _, c := range columns() {
		switch name, kind, _ := strings.Cut(c, " "); {
		case kind == "boolean":
			set = append(set, name+" = "+name+" = 'true'")
		case name == "last_order" || strings.HasPrefix(name, "home_"):
			set = append(set, name+` = NULLIF(`+name+`, '\N')`)
		}
	}
	return strings.Join(set, ", ")
}

// removeTables removes the files that were loaded.
func removeTables(dir string) {
	for _, name := range tableFiles {
		os.Remove(filepath.Join(dir, name))
	}
}
