package api

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// Parts add up to the audience, name what was written, and are for those who
// run the node only.
func TestStatsTellWhereMemoryGoes(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	project, c := w.newProject("a")
	for n := range 50 {
		if _, err := c.PutSubscription(ctx, client.Subscription{Provider: tocsin.APNs, Token: fmt.Sprintf("00aabbccddeeff%04x", n), User: fmt.Sprint("reader-", n),
			Attributes: map[string]client.Value{"country": client.TextValue("FR"), "age": client.IntegerValue(int64(n))},
			Tags:       map[string]client.Tags{"topics": {Replace: []string{"sport"}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Count(ctx, client.Target{Query: []byte(`{}`)}); err != nil { // all is applied
		t.Fatal(err)
	}
	got, err := w.client(w.platform).Stats(ctx)
	if err != nil || got.Subscriptions != 50 || len(got.Projects) != 1 || got.Projects[0].Project != project.ID || got.Resident == 0 || got.Heap < got.Audience || got.GCPercent == 0 {
		t.Fatalf("%+v %v", got, err)
	}
	sum, seen := int64(0), map[client.PartStats]bool{}
	for _, part := range got.Projects[0].Parts {
		sum += part.Bytes
		if part.Bytes > 0 {
			part.Bytes = 0
			seen[part] = true
		}
	}
	if sum != got.Audience || sum == 0 {
		t.Errorf("parts are %d bytes, the audience is %d", sum, got.Audience)
	}
	for _, want := range []client.PartStats{{Kind: "addresses"}, {Kind: "ids"}, {Kind: "rows"}, {Kind: "people"},
		{Kind: "attribute", Name: "country"}, {Kind: "attribute", Name: "age"}, {Kind: "attribute", Name: "opted_in"}, {Kind: "tags", Name: "topics"}} {
		if !seen[want] {
			t.Errorf("nothing of %+v in %+v", want, got.Projects[0].Parts)
		}
	}
	var p *client.Problem
	if _, err := c.Stats(ctx); !errors.As(err, &p) || p.Status != http.StatusForbidden {
		t.Errorf("a key of a project gets %v", err)
	}
}
