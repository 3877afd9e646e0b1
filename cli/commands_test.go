package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/cli"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// shell runs commands against a node, with a key.
type shell struct {
	*testing.T
	url, key string
	folder   string
}

// run returns the exit status and what was written.
func (s *shell) run(args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	status = cli.Run(s.Context(), args, strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// to adds the node and the key to a command.
func (s *shell) to(args ...string) []string { return append(args, "--url", s.url, "--key", s.key) }

// ok runs a command twice, as text and as JSON, and decodes the second.
func (s *shell) ok(into any, args ...string) (text string) {
	s.Helper()
	status, text, complaint := s.run(s.to(args...)...)
	if status != 0 {
		s.Fatalf("%v: status %d, %s", args, status, complaint)
	}
	s.json(into, args...)
	return text
}

// json runs a command with --json: standard output is JSON and nothing else.
func (s *shell) json(into any, args ...string) {
	s.Helper()
	status, out, complaint := s.run(append(s.to(args...), "--json")...)
	if err := json.Unmarshal([]byte(out), into); status != 0 || err != nil {
		s.Fatalf("%v --json: status %d, %v, %s%s", args, status, err, out, complaint)
	}
}

func (s *shell) file(name, text string) string {
	s.Helper()
	name = filepath.Join(s.folder, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return name
}

// newShell starts simulated providers and a node; its key is the platform's.
func newShell(t *testing.T) (*shell, *sim.Sim) {
	t.Helper()
	s := &shell{T: t, folder: t.TempDir()}
	config := sim.Default()
	config.CredentialsFile = filepath.Join(s.folder, "credentials.json")
	providers, err := sim.Start(config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(providers.Stop)
	nodes := node.Default()
	nodes.Dir, nodes.Listen = filepath.Join(s.folder, "data"), "127.0.0.1:0"
	ctx, stop := context.WithCancel(context.Background())
	up, ended := make(chan node.Up, 1), make(chan error, 1)
	go func() {
		ended <- node.Run(ctx, nodes, slog.New(slog.DiscardHandler), func(u node.Up) { up <- u })
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case u := <-up:
		s.url, s.key = u.URL, "@"+u.AdminKeyFile
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	return s, providers
}

// projectOf makes a project with the credentials of the simulators; the commands
// that follow act for it.
func (s *shell) projectOf(providers *sim.Sim) {
	s.Helper()
	admin, err := os.ReadFile(strings.TrimPrefix(s.key, "@"))
	if err != nil {
		s.Fatal(err)
	}
	api, err := client.New(client.Config{URL: s.url, Key: strings.TrimSpace(string(admin))})
	if err != nil {
		s.Fatal(err)
	}
	project, err := api.CreateProject(s.Context(), providers.Setup().Projects[0])
	if err != nil {
		s.Fatal(err)
	}
	s.key = project.Key
}

func TestCommands(t *testing.T) {
	t.Parallel()
	s, providers := newShell(t)
	setup, err := json.Marshal(providers.Setup().Projects[0])
	if err != nil {
		t.Fatal(err)
	}
	credentials := s.file("credentials.json", string(setup))

	// Projects, keys, credentials, with the key of the platform.
	var project client.Project
	s.json(&project, "project", "create", "Morning", "--environment", "development", "--credentials", credentials)
	if project.Name != "Morning" || project.Key == "" || project.Environment != tocsin.Development {
		t.Fatalf("%+v", project)
	}
	var projects []client.Project
	if text := s.ok(&projects, "project", "list"); len(projects) != 1 || projects[0].ID != project.ID || !strings.Contains(text, "Morning") {
		t.Fatalf("%s %+v", text, projects)
	}
	id := project.ID.String()
	if text := s.ok(&project, "project", "update", id, "--weight", "3", "--origins", "https://example.com"); project.Weight != 3 ||
		len(project.Origins) != 1 || project.Name != "Morning" || !strings.Contains(text, "weight 3") {
		t.Fatalf("%s %+v", text, project)
	}
	var key client.Key
	s.json(&key, "key", "create", id, "reporting", "--scopes", "read")
	status, text, _ := s.run(s.to("key", "revoke", id, key.ID.String())...)
	var keys []client.Key
	if status != 0 || text != "" {
		t.Fatalf("revoke: %d %s", status, text)
	}
	if text = s.ok(&keys, "key", "list", id); len(keys) != 2 || !regexp.MustCompile(key.ID.String()+` +revoked`).MatchString(text) {
		t.Fatalf("%s %+v", text, keys)
	}
	one, err := json.Marshal(providers.Setup().Projects[0].Credentials[0])
	if err != nil {
		t.Fatal(err)
	}
	var set client.Credential
	s.ok(&set, "credential", "set", id, s.file("apns.json", string(one)))
	var list []client.Credential
	if text = s.ok(&list, "credential", "list", id); len(list) != 3 || set.Version != 3 || !strings.Contains(text, "version 3") {
		t.Fatalf("%s %+v", text, list)
	}

	// Audience and sends, with the key of the project.
	s.key = project.Key
	var lines strings.Builder
	for i := range 50 {
		fmt.Fprintf(&lines, `{"provider":"apns","token":"%064x","user":"reader-%d","attributes":{"country":"%s"}}`+"\n", i+1, i, []string{"FR", "BE"}[i%2])
	}
	var imported client.Import
	if text = s.ok(&imported, "import", s.file("people.ndjson", lines.String())); imported.Imported != 50 || !strings.Contains(text, "imported 50 of 50 lines, 0 bad") {
		t.Fatalf("%s %+v", text, imported)
	}
	var counted client.Count
	if text = s.ok(&counted, "count", "--query", `{"country":"FR"}`); counted.Count != 25 || text != "25\n" {
		t.Fatalf("%s %+v", text, counted)
	}
	events := s.file("events.ndjson", `{"user":"reader-0","name":"bought","fields":{"amount":12}}`+"\n"+`{"user":"reader-7","name":"bought","fields":{"amount":3}}`)
	if text = s.ok(&imported, "import", "--events", events); imported.Imported != 2 || !imported.Events || !strings.Contains(text, "imported 2 of 2 lines, 0 bad") {
		t.Fatalf("%s %+v", text, imported)
	}
	if s.json(&counted, "count", "--query", `{"event":{"name":"bought","where":{"amount":{"$gt":10}}}}`); counted.Count != 1 {
		t.Fatalf("%+v", counted)
	}
	var explained client.Explained
	if text = s.ok(&explained, "explain", "--query", `{"$not":{"country":"BE"}}`, "--sample", "1"); explained.Reachable != 25 || len(explained.In) != 1 ||
		!strings.Contains(text, "          25           25           25  $not\n          25                              {\"country\":{\"$eq\":\"BE\"}}\n") ||
		!strings.Contains(text, "          25            0               opted in\n") || strings.Count(text, "reader-") != 2 {
		t.Fatalf("%s %+v", text, explained)
	}
	var judged client.Verdicts
	if text = s.ok(&judged, "explain", "--query", `{"country":"FR"}`, "--user", "reader-1"); judged.Subscriptions[0].Verdict.Matches ||
		!strings.Contains(text, ` reader-1: does not match`+"\n"+`  no  {"country":{"$eq":"FR"}}  [is "BE", at least since `) {
		t.Fatalf("%s %+v", text, judged)
	}
	var segment client.Segment
	if text = s.ok(&segment, "segments", "set", "french", `{"country":"FR"}`); segment.Name != "french" || !strings.Contains(text, `{"country":{"$eq":"FR"}}`) {
		t.Fatalf("%s %+v", text, segment)
	}
	s.ok(&segment, "segments", "set", "others", `{"segment":{"$ne":"french"}}`)
	var segments client.Segments
	if text = s.ok(&segments, "segments"); len(segments.Segments) != 2 || !strings.Contains(text, "others") {
		t.Fatalf("%s %+v", text, segments)
	}
	var sizes client.SegmentSizes
	if text = s.ok(&sizes, "segments", "sizes", "others"); len(sizes.Sizes) != 1 || sizes.Sizes[0].Count != 25 || !strings.Contains(text, " 25 ") {
		t.Fatalf("%s %+v", text, sizes)
	}
	if status, _, complaint := s.run(s.to("segments", "delete", "french")...); status != 3 || !strings.Contains(complaint, "others") {
		t.Fatalf("%d %s", status, complaint)
	}
	var sent client.Send
	s.json(&sent, "send", "--query", `{"segment":"french"}`, "--title", "Results", "--wait")
	if sent.Status != client.SendFinished || sent.Counters.Accepted != 25 {
		t.Fatalf("%+v", sent.Counters)
	}
	var again client.Send
	if text = s.ok(&again, "status", sent.ID.String()); again.Counters.Accepted != 25 || !strings.Contains(text, "audience 25 = accepted 25 + gone 0") {
		t.Fatalf("%s %+v", text, again)
	}
	if text = s.ok(&again, "status", sent.ID.String(), "--wait"); again.ID != sent.ID || !strings.Contains(text, "drift first") {
		t.Fatalf("%s", text)
	}
	var twice [2]client.Send
	for i := range twice {
		s.json(&twice[i], "send", "--user", "reader-1", "--title", "Once", "--once", "the-key")
	}
	if twice[0].ID != twice[1].ID {
		t.Fatalf("one idempotency key, two sends: %+v", twice)
	}
	var later client.Send
	s.json(&later, "send", "--query", "{}", "--title", "Soon", "--at", inAnHour())
	if later.Status != client.SendScheduled {
		t.Fatalf("%+v", later)
	}
	var would client.Send
	if text = s.ok(&would, "send", "--dry-run", "--query", `{"country":"BE"}`, "--title", "x"); would.Forecast.Pushes != 25 || !strings.Contains(text, "forecast of 25 pushes: drift first") {
		t.Fatalf("%s %+v", text, would)
	}
	var steered client.Send
	if text = s.ok(&steered, "pause", later.ID.String()); !steered.Paused || !strings.Contains(text, "scheduled, paused since 20") {
		t.Fatalf("%s %+v", text, steered)
	}
	if text = s.ok(&steered, "rate", later.ID.String(), "600"); !steered.Paused || steered.Rate != 600 || !strings.Contains(text, ", at most 600 a minute since 20") {
		t.Fatalf("%s %+v", text, steered)
	}
	steered = client.Send{}
	if s.ok(&steered, "resume", later.ID.String()); steered.Paused || steered.Rate != 600 {
		t.Fatalf("%+v", steered)
	}
	steered = client.Send{}
	if s.ok(&steered, "rate", later.ID.String(), "none"); steered.Rate != 0 {
		t.Fatalf("%+v", steered)
	}
	var cancelled client.Send
	if text = s.ok(&cancelled, "cancel", later.ID.String()); cancelled.Status != client.SendCancelled || !strings.Contains(text, "cancelled") {
		t.Fatalf("%s %+v", text, cancelled)
	}
	var whole client.Send
	s.json(&whole, "send", "--wait", "--request", s.file("send.json", `{"target":{"query":{"country":"BE"}},"message":{"languages":{"en":{"title":"x"}}}}`))
	if whole.Counters.Accepted != 25 {
		t.Fatalf("%+v", whole.Counters)
	}
	api, err := client.New(client.Config{URL: s.url, Key: s.key})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := api.Preview(t.Context(), client.PreviewRequest{Target: client.Target{Recipients: []client.Recipient{{User: "reader-0"}}}})
	if err != nil || len(reader.Recipients) != 1 {
		t.Fatalf("%+v, %v", reader, err)
	}
	var traces []client.Trace
	if text = s.ok(&traces, "why", sent.ID.String(), "--user", "reader-0"); len(traces) != 1 || traces[0].Subscription != reader.Recipients[0].Subscription ||
		!strings.Contains(text, "over apns: taken by the provider") {
		t.Fatalf("%s %+v", text, traces)
	}
	var trace client.Trace
	for _, format := range []string{"", "--json"} {
		status, text, complaint := s.run(append(s.to("outcomes", sent.ID.String(), "--outcome", "accepted"), strings.Fields(format)...)...)
		lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
		if status != 0 || int64(len(lines)) != sent.Counters.Accepted {
			t.Fatalf("%d, %d lines of %d: %s", status, len(lines), sent.Counters.Accepted, complaint)
		}
		var one client.RecipientOutcome
		for _, line := range lines {
			if format == "" && !endedSo.MatchString(line) || format != "" && (json.Unmarshal([]byte(line), &one) != nil || one.Outcome != tocsin.Accepted) {
				t.Fatal(line)
			}
		}
	}
	if text = s.ok(&trace, "why", sent.ID.String(), reader.Recipients[0].Subscription.String()); trace.Outcome != tocsin.Accepted ||
		!strings.Contains(text, "taken by the provider") || trace.Page == nil || *trace.Page != 0 || !whySays.MatchString(text) {
		t.Fatalf("%s %+v", text, trace)
	}
}

// endedSo is one line of outcomes.
var endedSo = regexp.MustCompile(`^sub_\w+  (apns   |fcm    |webpush)  accepted    $`)

// whySays is a trace as text.
var whySays = regexp.MustCompile(`\n  shard \d, page 0\n  attempt 1: accepted, claimed 20\S+, written 20\S+, settled 20\S+\n  the target, by what is known of it now:\n    yes .*in french]\n`)

func TestImportReportsBadLinesAndResumes(t *testing.T) {
	t.Parallel()
	s, providers := newShell(t)
	s.projectOf(providers)
	bad := s.file("bad.csv", "provider,token,user,attributes.country\nfcm,token-1,ann,FR\nsms,0601020304,bob,FR\nfcm,token-3,cyd,BE\napns,no-hex,dan,BE\nfcm\n")
	status, out, complaint := s.run(s.to("import", bad)...)
	if status != 1 || !strings.Contains(out, "imported 2 of 6 lines, 3 bad") || !strings.Contains(out, "line 3: provider: ") ||
		!strings.Contains(out, "line 5: token: want the device token in hexadecimal") || !strings.Contains(out, "line 6: 1 fields") || !strings.Contains(complaint, "3 lines were not imported") {
		t.Fatalf("%d %s%s", status, out, complaint)
	}

	// A stream that broke off goes on from where it is durable.
	var text strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&text, `{"provider":"fcm","token":"resumed-%d"}`+"\n", i)
	}
	api, err := client.New(client.Config{URL: s.url, Key: s.key})
	if err != nil {
		t.Fatal(err)
	}
	open, err := api.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Upload(t.Context(), open, &breaking{strings.NewReader(text.String()), text.Len() / 2}, nil); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	// Another file would end it.
	if status, _, complaint := s.run(s.to("import", "--resume", open.ID.String(), bad)...); status != 1 || !strings.Contains(complaint, "it is not the one that broke off") {
		t.Fatalf("%d %s", status, complaint)
	}
	file := s.file("whole.ndjson", text.String())
	var done client.Import
	s.json(&done, "import", "--resume", open.ID.String(), file)
	if done.ID != open.ID || done.Status != client.ImportFinished || done.Imported != 20_000 || done.Lines != 20_000 || done.Bad != 0 {
		t.Fatalf("%+v", done)
	}
	if status, _, complaint := s.run(s.to("import", "--resume", open.ID.String(), file)...); status == 0 || strings.Contains(complaint, "--resume") {
		t.Fatalf("%d %s", status, complaint)
	}
	var counted client.Count
	if s.json(&counted, "count", "--query", "{}"); counted.Count != 20_002 {
		t.Fatalf("%+v", counted)
	}
}

var errBroken = errors.New("the disk broke")

// breaking is a stream that cannot be read beyond its middle.
type breaking struct {
	*strings.Reader
	left int
}

func (b *breaking) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBroken
	}
	n, err := b.Reader.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

func (b *breaking) WriteTo(w io.Writer) (int64, error) { return io.Copy(w, struct{ io.Reader }{b}) }

func TestExitStatuses(t *testing.T) {
	t.Parallel()
	s, _ := newShell(t)
	nowhere := freeAddress(t)
	send := tocsin.SendID{1}.String()
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"help":             {[]string{"--help"}, 0, ""},
		"nothing":          {nil, 0, ""},
		"help of one":      {[]string{"send", "--help"}, 0, ""},
		"completion":       {[]string{"completion"}, 0, ""},
		"unknown command":  {[]string{"ring"}, 2, "ring"},
		"unknown flag":     {[]string{"status", "--loud"}, 2, "--loud"},
		"why nobody":       {s.to("why", send), 2, "--user"},
		"no argument":      {[]string{"status"}, 2, "<send-id>"},
		"bad id":           {[]string{"status", "snd_x"}, 2, "send-id"},
		"bad limit":        {s.to("sends", "--limit", "0"), 2, "--limit"},
		"bad rate":         {s.to("rate", send, "0"), 2, "minute"},
		"bad class":        {s.to("send", "--class", "loud", "--query", "{}"), 2, "loud"},
		"no target":        {s.to("send", "--title", "x"), 2, "--query"},
		"two targets":      {s.to("count", "--query", "{}", "--user", "ann"), 2, "--query"},
		"request and flag": {s.to("send", "--request", "{}", "--title", "x"), 2, "--request"},
		"bad JSON":         {s.to("count", "--query", "{"), 2, "{"},
		"no such file":     {s.to("import", "/none.csv"), 2, "/none.csv"},
		"unknown fault":    {[]string{"sim", "--faults", `{"apns":{"network":{"dripp":1}}}`}, 1, "dripp"},
		"no key file":      {[]string{"status", send, "--url", s.url, "--key", "@/none"}, 1, "/none"},
		"bad URL":          {[]string{"status", send, "--url", "node"}, 2, "node"},
		"no key":           {[]string{"status", send, "--url", s.url}, 3, "TOCSIN_KEY"},
		"no project":       {s.to("status", send), 3, "--project"},
		"no such project":  {s.to("key", "list", tocsin.ProjectID{1}.String()), 3, "no such project"},
		"not reachable":    {[]string{"project", "create", "x", "--url", nowhere, "--key", "k"}, 4, "tocsin serve"},
	} {
		t.Run(name, func(t *testing.T) {
			status, out, complaint := (&shell{T: t}).run(c.args...)
			if status != c.status || !strings.Contains(complaint, c.says) || status != 0 && out != "" || status == 0 && complaint != "" {
				t.Errorf("status %d instead of %d\nstandard output: %s\nstandard error: %s", status, c.status, out, complaint)
			}
		})
	}
	_, out, _ := s.run("completion")
	for _, command := range []string{"complete ", "serve", "demo", "sim", "project", "key", "credential", "import", "lists", "catalogue", "count", "segments", "send", "status", "sends", "cancel", "pause", "resume", "rate", "outcomes", "why"} {
		if !strings.Contains(out, command) {
			t.Errorf("the completion script lacks %q: %s", command, out)
		}
	}
}

func inAnHour() string { return time.Now().Add(time.Hour).UTC().Format(time.RFC3339) }
