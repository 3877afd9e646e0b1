package cli_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
)

func TestLists(t *testing.T) {
	t.Parallel()
	s, providers := newShell(t)
	s.projectOf(providers)
	people, all := "user,provider,token\n", "user\n"
	for n := range 40 {
		people += fmt.Sprintf("u%d,fcm,token-%d\n", n, n)
		all += fmt.Sprintf("u%d\n", n)
	}
	if status, _, complaint := s.run(s.to("import", s.file("people.csv", people))...); status != 0 {
		t.Fatal(complaint)
	}
	var done client.Import
	if text := s.ok(&done, "lists", "upload", "vip", s.file("all.csv", all)); done.Imported != 40 || done.List != "vip" || !strings.Contains(text, "imported 40 of 41 lines, 0 bad") {
		t.Fatal(text, done)
	}
	s.ok(&done, "lists", "upload", "vip", s.file("two.ndjson", `{"user":"u0"}`+"\n"+`{"user":"u1"}`+"\n"), "--mode", "remove")
	s.ok(&done, "lists", "upload", "vip", s.file("one.ndjson", `{"user":"stranger"}`+"\n"), "--mode", "add")
	var lists client.Lists
	if text := s.ok(&lists, "lists"); len(lists.Lists) != 1 || lists.Lists[0].Entries != 39 || lists.Lists[0].Known != 38 || !regexp.MustCompile(`^vip +39 entries +38 known  updated 20\S+\n$`).MatchString(text) {
		t.Fatal(text, lists)
	}
	var count client.Count
	if s.json(&count, "count", "--query", `{"list":"vip"}`); count.Count != 38 {
		t.Fatal(count)
	}
	// A file that looks wrong is asked about, with the line that goes on.
	few := s.file("few.csv", "user\nu3\n")
	status, _, complaint := s.run(s.to("lists", "upload", "vip", few)...)
	next := regexp.MustCompile(`If it is the right file: tocsin (lists upload vip --confirm --resume imp_\S+ \S+)`).FindStringSubmatch(complaint)
	if status != 3 || !strings.Contains(complaint, "has 1 entries, of which 1 are known; the list has 39, of which 38 are known") || next == nil {
		t.Fatal(status, complaint)
	}
	if status, _, complaint := s.run(s.to(strings.Fields(next[1])...)...); status != 0 {
		t.Fatal(complaint)
	}
	if s.json(&count, "count", "--query", `{"list":"vip"}`); count.Count != 1 {
		t.Fatal(count)
	}
	if status, _, complaint := s.run(s.to("lists", "delete", "vip")...); status != 0 {
		t.Fatal(complaint)
	}
	if status, _, complaint := s.run(s.to("count", "--query", `{"list":"vip"}`)...); status != 3 || !strings.Contains(complaint, "want the name of a list that there is") {
		t.Fatal(status, complaint)
	}
}
