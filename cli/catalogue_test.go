package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin/client"
)

func TestCatalogueCommands(t *testing.T) {
	t.Parallel()
	s, providers := newShell(t)
	setup, err := json.Marshal(providers.Setup().Projects[0])
	if err != nil {
		t.Fatal(err)
	}
	var project client.Project
	s.json(&project, "project", "create", "Morning", "--credentials", s.file("credentials.json", string(setup)))
	s.key = project.Key
	var imported client.Import
	people := `{"provider":"fcm","token":"1","attributes":{"country":"FR","age":41},"tags":{"topics":["sport"]}}
{"provider":"fcm","token":"2","attributes":{"country":"BE","age":"old"}}
{"provider":"fcm","token":"3","attributes":{"country":"FR"}}
`
	status, text, complaint := s.run(s.to("import", s.file("people.ndjson", people))...)
	if status != 1 || !strings.Contains(text, `attributes.age: found text, want number: first written`) || !strings.Contains(text, `("old")`) {
		t.Fatalf("%d %s %s", status, text, complaint)
	}
	s.json(&imported, "import", s.file("more.ndjson", `{"provider":"fcm","token":"4"}`))
	var all client.Catalogue
	text = s.ok(&all, "catalogue", "--top", "1")
	for _, line := range []string{"3 subscriptions\n", "attributes  2 of 200\n", "66.7 %  1: \"FR\" 2", "33.3 %  1: 41 1", "import first key\n", "tags        1 of 64\n"} {
		if !strings.Contains(text, line) {
			t.Errorf("%q is not in\n%s", line, text)
		}
	}
	if len(all.Attributes) != 2 || all.Attributes[1].Name != "country" || len(all.Attributes[1].Top) != 1 {
		t.Errorf("%+v", all)
	}
	// A scheduled send is told of, once plan has saved it.
	var later client.Send
	s.json(&later, "send", "--query", `{"country":"FR"}`, "--title", "Soon", "--at", inAnHour())
	var changed client.NameChanged
	for len(changed.Waiting) == 0 {
		s.json(&changed, "catalogue", "rename", "attributes", "country", "nation")
		if changed.Subscriptions != 2 || changed.To != "nation" {
			t.Fatalf("%+v", changed)
		}
		status, text, complaint = s.run(s.to("catalogue", "rename", "attributes", "nation", "country")...)
		if status != 0 || text != "nation renamed to country; 2 subscriptions had it\n" {
			t.Fatalf("%d %s %s", status, text, complaint)
		}
	}
	if changed.Waiting[0].Send != later.ID || !changed.Waiting[0].Due.Equal(later.DueAt) {
		t.Errorf("%+v", changed)
	}
	status, text, _ = s.run(s.to("catalogue", "delete", "attributes", "country")...)
	if status != 0 || !strings.Contains(text, "country deleted; 2 subscriptions had it\nsend "+later.ID.String()+" asks for country") {
		t.Errorf("%d %s", status, text)
	}
	if status, _, complaint = s.run(s.to("catalogue", "delete", "attributes", "country")...); status != 3 || !strings.Contains(complaint, "no such name") {
		t.Errorf("%d %s", status, complaint)
	}
}
