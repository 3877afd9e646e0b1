package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/target"
)

func someCrowd() *crowd { return &crowd{seed: 5, size: 10_000, now: time.Unix(1_795_000_000, 0)} }

func TestACrowdIsTheSameAgain(t *testing.T) {
	c := someCrowd()
	var one, again person
	values, opted, french := 0, 0, 0
	for n := range c.size {
		c.at(n, &one)
		c.at(n, &again)
		if !reflect.DeepEqual(one.traits, again.traits) || !reflect.DeepEqual(one.tags, again.tags) {
			t.Fatalf("person %d is two: %+v and %+v", n, one, again)
		}
		for i := range one.traits {
			if one.traits[i].kind != 0 {
				values++
			}
		}
		if one.optedIn {
			opted++
		}
		if one.traits[0].text == "FR" {
			french++
		}
	}
	mean := float64(values) / float64(c.size)
	if mean < 19.9 || mean > 20.3 || opted < 9_400 || opted > 9_600 || french < 650 || french > 850 {
		t.Errorf("%.2f attributes a person, %d opted in, %d French", mean, opted, french)
	}
}

// Lines are what the API takes, and rows have a cell for every column.
func TestLinesAndRowsOfACrowd(t *testing.T) {
	c := someCrowd()
	lines := &crowdStream{crowd: c, to: 200, attributes: traitCount, tags: true}
	var body bytes.Buffer
	if _, err := body.ReadFrom(lines); err != nil {
		t.Fatal(err)
	}
	wide := len(columns()) + setCount
	var p person
	for n, line := range bytes.Split(bytes.TrimSpace(body.Bytes()), []byte("\n")) {
		var s client.Subscription
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		c.at(n, &p)
		if s.Active.Unix() != p.active || s.Attributes["country"].Text() != p.traits[0].text {
			t.Errorf("line %s of %+v", line, p)
		}
		if row := p.appendRow(nil); bytes.Count(row, []byte("\t")) != wide-1 {
			t.Errorf("row of %d cells, want %d: %s", bytes.Count(row, []byte("\t"))+1, wide, row)
		}
	}
}

// Events are what the API takes, of the last 30 days, and nobody does anything
// after he was seen for the last time; few do most.
func TestDeedsOfACrowd(t *testing.T) {
	c := someCrowd()
	lines := &crowdStream{crowd: c, to: c.size, deeds: true}
	var body bytes.Buffer
	if _, err := body.ReadFrom(lines); err != nil {
		t.Fatal(err)
	}
	all := bytes.Split(bytes.TrimSpace(body.Bytes()), []byte("\n"))
	if len(all) != lines.told || lines.told < 2*c.size || lines.told > 5*c.size {
		t.Errorf("%d lines of %d events", len(all), lines.told)
	}
	names, of := map[string]int{}, map[string]int{}
	for _, line := range all {
		var e client.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		names[e.Name]++
		of[e.User+e.Subscription.String()]++
		if e.Time.Unix() < c.firstDay() || e.Time.After(c.now) || (e.User == "") == e.Subscription.IsZero() {
			t.Errorf("event %s", line)
		}
	}
	counts := slices.Sorted(maps.Values(of))
	if top := counts[len(counts)*9/10]; len(names) != len(deedNames) || names["read"] < 3*names["opened"] || top < 2*counts[len(counts)/2] {
		t.Errorf("%v; half of them did %d, a tenth %d", names, counts[len(counts)/2], top)
	}
	var p person
	for n := range 200 {
		c.at(n, &p)
		for _, e := range c.deeds(n, &p, nil) {
			if e.at > p.active || bytes.Count(e.appendRow(nil, &p), []byte("\t")) != strings.Count(deedColumns, ",") {
				t.Errorf("%+v of %+v", e, p)
			}
		}
	}
}

func TestFiftyQuestionsAreTargets(t *testing.T) {
	if len(questions) != 50 {
		t.Fatalf("%d questions", len(questions))
	}
	a := someCrowd().asker(7)
	asked := map[string]bool{}
	for _, q := range slices.Concat(questions, hostile, []question{fiveClauses}) {
		for range 5 {
			c := q.draw(a)
			if _, err := target.Parse(target.Default(), []byte(c.json)); err != nil {
				t.Errorf("%s: %s: %v", q.name, c.json, err)
			}
			asked[c.json] = true
		}
	}
	for _, op := range strings.Fields("$and $or $not $eq $ne $in $nin $gt $gte $lt $lte $between $exists $startsWith $version $near $contains $containsAll $containsAny event where count first last within") {
		found := false
		for text := range asked {
			found = found || strings.Contains(text, `"`+op+`"`)
		}
		if !found {
			t.Errorf("nobody asks %s", op)
		}
	}
	if len(asked) < 200 {
		t.Errorf("%d different targets: the constants are not drawn anew", len(asked))
	}
}
