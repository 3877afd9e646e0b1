package main

import (
	"fmt"
	"strings"
	"time"
)

// deedParts are what a clause on an event asks for; what is zero it does not ask.
type deedParts struct {
	since        int64 // a midnight: only times from there on are counted
	least, below int   // times
	section      string
	amount       int // at least
	currency     string
	first, last  int64 // not before
}

// did is a clause on an event.
func (a *asker) did(name string, p deedParts) clause {
	instant := func(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }
	var where []string
	parts, rows, groups := []string{fmt.Sprintf(`"name":%q`, name)}, []string{"name='" + name + "'"}, []string{}
	if p.section != "" {
		where, rows = append(where, fmt.Sprintf(`"section":%q`, p.section)), append(rows, "section='"+p.section+"'")
	}
	if p.amount > 0 {
		where, rows = append(where, fmt.Sprintf(`"amount":{"$gte":%d}`, p.amount)), append(rows, fmt.Sprintf("amount>=%d", p.amount))
	}
	if p.currency != "" {
		where, rows = append(where, fmt.Sprintf(`"currency":%q`, p.currency)), append(rows, "currency='"+p.currency+"'")
	}
	if len(where) > 0 {
		parts = append(parts, `"where":{`+strings.Join(where, ",")+"}")
	}
	if p.since > 0 {
		parts, rows = append(parts, fmt.Sprintf(`"within":{"$gte":%q}`, instant(p.since))), append(rows, fmt.Sprintf("told>=%d", p.since))
	}
	if p.first > 0 {
		parts, groups = append(parts, fmt.Sprintf(`"first":{"$gte":%q}`, instant(p.first))), append(groups, fmt.Sprintf("min(told)>=%d", p.first))
	}
	if p.last > 0 {
		parts, rows = append(parts, fmt.Sprintf(`"last":{"$gte":%q}`, instant(p.last))), append(rows, fmt.Sprintf("told>=%d", p.last))
	}
	is := "IN"
	if p.least > 0 {
		parts, groups = append(parts, fmt.Sprintf(`"count":{"$gte":%d}`, p.least)), append(groups, fmt.Sprintf("count(*)>=%d", p.least))
	}
	if p.below > 0 { // and so those who never did it
		parts, groups, is = append(parts, fmt.Sprintf(`"count":{"$lt":%d}`, p.below)), append(groups, fmt.Sprintf("count(*)>=%d", p.below)), "NOT IN"
	}
	having := ""
	if len(groups) > 0 {
		having = " GROUP BY doer HAVING " + strings.Join(groups, " AND ")
	}
	return clause{`{"event":{` + strings.Join(parts, ",") + `}}`, everywhere("doer %s (SELECT doer FROM deeds WHERE %s%s)", is, strings.Join(rows, " AND "), having)}
}

// midnight is one of the days of which something is told.
func (a *asker) midnight() int64 { return a.crowd.firstDay() + int64(a.random.IntN(deedDays))*day }

func (a *asker) section() string {
	d := dice(a.random.Uint64())
	return sections.at(&d)
}
