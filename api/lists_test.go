package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/client"
)

const ndjson, csv = "application/x-ndjson", "text/csv"

// put sends a stream to a list.
func (w *world) put(method, path, key, kind, lines string) (client.Import, client.Problem, int) {
	w.t.Helper()
	answer, text := w.raw(method, path, key, lines, "Content-Type", kind)
	var done client.Import
	var problem client.Problem
	to := any(&done)
	if answer.StatusCode >= 300 {
		to = &problem
	}
	if err := json.Unmarshal([]byte(text), to); err != nil {
		w.t.Fatal(text)
	}
	return done, problem, answer.StatusCode
}

// finds previews a query by the users of those who match.
func finds(t *testing.T, c *client.Client, query string) string {
	t.Helper()
	got, err := c.Preview(t.Context(), client.PreviewRequest{Target: client.Target{Query: json.RawMessage(query)}, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range got.Recipients {
		names = append(names, r.User)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func enrol(t *testing.T, c *client.Client, users ...string) (ids []tocsin.SubscriptionID) {
	t.Helper()
	for _, user := range users {
		got, err := c.PutSubscription(t.Context(), client.Subscription{User: user, Provider: tocsin.FCM, Token: "t-" + user})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, got.ID)
	}
	return ids
}

func TestLists(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	ids := enrol(t, c, "anna", "ben", "carla", "dora")

	done, _, status := w.put("PUT", "/v1/lists/vip", p.Key, ndjson, fmt.Sprintf("\ufeff"+`{"user":"anna"}
{"id":"%s"}
{"user":"erik"}

{"user":""}
{"user":"x","id":"%s"}
{"name":"x"}
{"id":"sub_x"}
"anna"
{"user":"%s"}
{"id":"%s"}`, ids[1], ids[2], strings.Repeat("x", 257), tocsin.MakeID[tocsin.SubscriptionID](p.ID.Time(), [10]byte{9})))
	if status != http.StatusCreated || done.Status != client.ImportFinished || done.Imported != 4 || done.Bad != 6 || done.Lines != 11 || done.List != "vip" || done.Mode != client.ListReplace {
		t.Fatal(status, done)
	}
	var why []string
	for _, bad := range done.BadLines {
		why = append(why, fmt.Sprint(bad.Line, " ", bad))
	}
	if got := strings.Join(why, "\n"); got != `5 user: want a string
6 give user or id, not both
7 name: unknown field
8 id: want the id of a subscription
9 not JSON at byte 0
10 user: want 1 to 256 bytes` {
		t.Error(got)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "anna ben" {
		t.Error(got)
	}
	enrol(t, c, "erik")
	if got := finds(t, c, `{"list":"vip"}`); got != "anna ben erik" {
		t.Error(got)
	}
	if l, err := c.List(t.Context(), "vip"); err != nil || l.Entries != 4 || l.Known != 3 || l.Name != "vip" || l.UpdatedAt.Before(l.CreatedAt) {
		t.Error(l, err)
	}
	// CSV adds and takes out.
	if done, _, _ = w.put("POST", "/v1/lists/vip", p.Key, csv, "user,id\r\ncarla,\r\n,"+ids[3].String()+"\r\n\"x\"\r\n"); done.Imported != 2 || done.Bad != 1 {
		t.Fatal(done)
	}
	if done, _, _ = w.put("POST", "/v1/lists/vip?mode=remove", p.Key, csv, "user\nanna\nnobody\n"); done.Imported != 2 {
		t.Fatal(done)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "ben carla dora erik" {
		t.Error(got)
	}
	for _, wrong := range []struct{ method, path, kind, lines, want string }{
		{"POST", "/v1/lists/vip", csv, "anna\n", "422 anna: unknown column: the first line names the columns, user or id or both"},
		{"POST", "/v1/lists/vip", csv, "user,user\n", "422 user: column stands twice"},
		{"POST", "/v1/lists/vip?mode=replace", csv, "user\n", "422 query.mode"},
		{"POST", "/v1/lists/Vip", csv, "user\n", "422 path.list"},
		{"POST", "/v1/lists/nobody?mode=remove", csv, "user\n", "404 there is no such list"},
		{"POST", "/v1/lists/vip", "text/plain", "user\n", "415"},
	} {
		_, problem, status := w.put(wrong.method, wrong.path, p.Key, wrong.kind, wrong.lines)
		got := fmt.Sprint(status, " ", problem.Detail)
		for _, e := range problem.Errors {
			got = fmt.Sprint(status, " ", e.Field, ": ", e.Reason)
		}
		if !strings.HasPrefix(got, wrong.want) {
			t.Errorf("%s %s: %s", wrong.method, wrong.path, got)
		}
	}
	w.put("POST", "/v1/lists/another", p.Key, csv, "user\nanna\n")
	if all, err := c.Lists(t.Context()); err != nil || len(all.Lists) != 2 || all.Lists[0].Name != "another" || all.Lists[1].Entries != 5 {
		t.Error(all, err)
	}
	_, stranger := w.newProject("b")
	if all, err := stranger.Lists(t.Context()); err != nil || len(all.Lists) != 0 {
		t.Error(all, err)
	}
	// A list that is deleted takes nobody along, and the name is free.
	if err := c.DeleteList(t.Context(), "vip"); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteList(t.Context(), "vip"); err == nil {
		t.Error("deleted twice")
	}
	w.put("PUT", "/v1/lists/vip", p.Key, csv, "user\nanna\n")
	if got := finds(t, c, `{"list":"vip"}`); got != "anna" {
		t.Error(got)
	}
}

// A replacement that looks like another file is asked about.
func TestWrongFileIsAskedAbout(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	enrol(t, c, "anna", "ben", "carla", "dora")
	w.put("PUT", "/v1/lists/vip", p.Key, csv, "user\nanna\nben\ncarla\ndora\nerik\n")
	_, problem, status := w.put("PUT", "/v1/lists/vip", p.Key, csv, "user\nanna\nben\n")
	if status != http.StatusConflict || problem.Code != "confirm" || !strings.Contains(problem.Detail, "has 2 entries, of which 2 are known; the list has 5, of which 4 are known") {
		t.Fatal(status, problem)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "anna ben carla dora" {
		t.Fatal(got)
	}
	// As many, but nobody knows them: another wrong file.
	strangers := "user\nu1\nu2\nu3\nu4\nu5\nu6\nanna\n"
	if _, problem, _ = w.put("PUT", "/v1/lists/vip", p.Key, csv, strangers); problem.Code != "confirm" {
		t.Fatal(problem)
	}
	// Confirmed beforehand, or afterwards without sending it again.
	all, err := c.Imports(t.Context(), tocsin.ImportID{}, 3) // those of one millisecond come in any order
	if err != nil || len(all.Imports) != 3 {
		t.Fatal(all, err)
	}
	last := slices.IndexFunc(all.Imports, func(i client.Import) bool { return i.Offset == int64(len(strangers)) })
	if last < 0 || all.Imports[last].Status != client.ImportOpen {
		t.Fatal(all)
	}
	open := all.Imports[last]
	path := fmt.Sprintf("/v1/imports/%s/data?offset=%d", open.ID, open.Offset)
	if _, problem, _ = w.put("POST", path, p.Key, csv, ""); problem.Code != "confirm" {
		t.Fatal(problem)
	}
	if done, _, _ := w.put("POST", path+"&confirm=true", p.Key, csv, ""); done.Status != client.ImportFinished || !done.Confirm {
		t.Fatal(done)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "anna" {
		t.Fatal(got)
	}
	if done, _, _ := w.put("PUT", "/v1/lists/vip?confirm=true", p.Key, csv, "user\nben\n"); done.Status != client.ImportFinished {
		t.Fatal(done)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "ben" {
		t.Fatal(got)
	}
}

// What an upload was to do is not done to another list, and of two that replace
// one the later one counts.
func TestUploadsThatCross(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	enrol(t, c, "anna", "ben")
	open := func(mode client.ListMode) string {
		i, err := c.OpenList(t.Context(), "vip", mode, client.ImportRequest{Format: client.CSV}, true)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("/v1/imports/%s/data?offset=0", i.ID)
	}
	first, second, added := open(client.ListReplace), open(client.ListReplace), open(client.ListAdd)
	if _, problem, status := w.put("POST", first, p.Key, csv, "user\nanna\n"); status != http.StatusConflict || problem.Code != "conflict" {
		t.Fatal(status, problem)
	}
	if done, _, _ := w.put("POST", second, p.Key, csv, "user\nben\n"); done.Status != client.ImportFinished {
		t.Fatal(done)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "ben" {
		t.Fatal(got)
	}
	if err := c.DeleteList(t.Context(), "vip"); err != nil {
		t.Fatal(err)
	}
	w.put("PUT", "/v1/lists/vip", p.Key, csv, "user\nben\n")
	if _, problem, status := w.put("POST", added, p.Key, csv, "user\nanna\n"); status != http.StatusConflict || problem.Code != "conflict" {
		t.Fatal(status, problem)
	}
	if got := finds(t, c, `{"list":"vip"}`); got != "ben" {
		t.Fatal(got)
	}
}

// breaking is a file that cannot be read to its end.
type breaking struct {
	io.ReadSeeker
	left int
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("broken")
	}
	n, err := b.ReadSeeker.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// A replacement that breaks off leaves the list; it goes on where it broke off.
func TestUploadThatBreaksOff(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	w.put("PUT", "/v1/lists/vip", p.Key, csv, "user\nanna\n")
	var text strings.Builder
	for n := range 50_000 {
		fmt.Fprintf(&text, `{"user":"u%d"}`+"\n", n)
	}
	i, err := c.OpenList(t.Context(), "vip", client.ListReplace, client.ImportRequest{Format: client.NDJSON}, true)
	if err != nil {
		t.Fatal(err)
	}
	file := strings.NewReader(text.String())
	if _, err := c.Upload(t.Context(), i, &breaking{file, text.Len() / 2}, nil); err == nil {
		t.Fatal("it was not noticed")
	}
	if l, err := c.List(t.Context(), "vip"); err != nil || l.Entries != 1 {
		t.Fatal(l, err)
	}
	for i.Offset == 0 || i.Status != client.ImportOpen { // the server has not noticed yet
		if i, err = c.GetImport(t.Context(), i.ID); err != nil {
			t.Fatal(err)
		}
	}
	if done, err := c.Upload(t.Context(), i, file, nil); err != nil || done.Imported != 50_000 {
		t.Fatal(done, err)
	}
	if l, err := c.List(t.Context(), "vip"); err != nil || l.Entries != 50_000 || l.Known != 0 {
		t.Fatal(l, err)
	}
}

func TestListsAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Lists, c.Entries = 2, 3 })
	p, _ := w.newProject("a")
	for _, name := range []string{"a", "b"} {
		w.put("PUT", "/v1/lists/"+name, p.Key, csv, "user\nanna\nben\ncarla\n")
	}
	if _, problem, status := w.put("PUT", "/v1/lists/c", p.Key, csv, "user\nanna\n"); status != http.StatusConflict || problem.Code != "limit" {
		t.Error(status, problem)
	}
	if _, problem, status := w.put("PUT", "/v1/lists/a", p.Key, csv, "user\nanna\nben\ncarla\ndora\n"); status != http.StatusUnprocessableEntity || problem.Code != "limit" {
		t.Error(status, problem)
	}
}

// A piece is cut into records that the log takes, whoever is in it.
func TestEntriesFitTheirRecords(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	var lines strings.Builder
	for n := 0; lines.Len() < 900<<10; n++ { // all of one shard
		user := fmt.Sprint(n, strings.Repeat("x", 240))
		if tocsin.ShardOf(p.ID, audience.UserKey(user), testShards) == 0 {
			fmt.Fprintf(&lines, "%s\n", user)
		}
	}
	done, problem, _ := w.put("PUT", "/v1/lists/vip", p.Key, csv, "user\n"+lines.String())
	if done.Status != client.ImportFinished {
		t.Fatal(problem)
	}
	if l, err := c.List(t.Context(), "vip"); err != nil || l.Entries != done.Imported {
		t.Fatal(l, err)
	}
}

// refusal asks for a query in every way and returns how all are refused.
func refusal(t *testing.T, c *client.Client, query string) string {
	t.Helper()
	_, counted := c.Count(t.Context(), client.Target{Query: json.RawMessage(query)})
	request := hello()
	request.Target = client.Target{Query: json.RawMessage(query)}
	_, sent := c.Send(t.Context(), request, "")
	_, tried := c.DryRun(t.Context(), request)
	var told [3]string
	for i, err := range []error{counted, sent, tried} {
		if p := new(client.Problem); errors.As(err, &p) && p.Status == 422 && len(p.Errors) == 1 {
			told[i] = p.Errors[0].Field + ": " + p.Errors[0].Reason
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if told[0] != told[1] || told[0] != told[2] {
		t.Errorf("%s: told %q", query, told)
	}
	return told[0]
}

func TestTargetsNameListsThatAreThere(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	w.put("PUT", "/v1/lists/subscribers", p.Key, csv, "user\nanna\n")
	for query, want := range map[string]string{
		`{"$or":[{"list":{"$nin":["subscribers"]}}]}`:   "",
		`{"list":{"$in":["subscribers","subscibers"]}}`: `target.query.list.$in[1]: found "subscibers", want the name of a list that there is; did you mean subscribers?`,
		`{"$not":{"list":"x"}}`:                         `target.query.$not.list: found "x", want the name of a list that there is`,
		`{"sent":"snd_00000000000000000000000001"}`:     `target.query.sent: found "snd_00000000000000000000000001", want a send of this project`,
	} {
		if got := refusal(t, c, query); got != want {
			t.Errorf("%s: told %s, want %s", query, got, want)
		}
	}
}

// An erased person is in no list, and neither is a subscription of theirs on the
// shards where it never was.
func TestErasedAreInNoList(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	ids := enrol(t, c, "anna", "ben")
	w.put("PUT", "/v1/lists/vip", p.Key, csv, fmt.Sprintf("user,id\nanna,\nben,\nstranger,\n,%s\n,%s\n", ids[0], ids[1]))
	for _, user := range []string{"anna", "stranger"} {
		if _, err := c.Erase(t.Context(), client.ErasureRequest{User: user}); err != nil {
			t.Fatal(err)
		}
	}
	if l, err := c.List(t.Context(), "vip"); err != nil || l.Entries != 2 || l.Known != 2 {
		t.Error(l, err)
	}
	for i, shard := range w.shards {
		if l, _ := shard.List(p.ID, "vip"); l.Size.Singles != 1 {
			t.Errorf("shard %d has %+v", i, l.Size)
		}
	}
}
