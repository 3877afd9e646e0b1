package api

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	storemem "github.com/tocsin-push/tocsin/store/mem"
)

func everybody(t *testing.T, c *client.Client) int64 {
	t.Helper()
	n, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	return n.Matched
}

func TestImportsReportBadLines(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	lines := "\ufeff" + `{"provider":"fcm","token":"t1","attributes":{"country":"FR"}}

{"provider":"fcm","token":"t2"
{"provider":"fcm","token":"t3","colour":"red"}
{"provider":"fcm","token":"` + strings.Repeat("x", 70<<10) + `"}
{"provider":"fcm","token":"t1","attributes":{"country":"DE"}}
{"provider":"fcm","token":"t4"}`
	answer, text := w.raw("POST", "/v1/imports?name=first", p.Key, lines, "Content-Type", "application/x-ndjson")
	var got client.Import
	if err := json.Unmarshal([]byte(text), &got); err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatal(answer.StatusCode, text)
	}
	if got.Status != client.ImportFinished || got.Lines != 7 || got.Imported != 3 || got.Bad != 3 || got.Offset != int64(len(lines)) || got.Name != "first" {
		t.Fatalf("%+v", got)
	}
	if b := got.BadLines; len(b) != 3 || b[0].Line != 3 || b[1].Line != 4 || b[1].Field != "colour" || b[2].Line != 5 || b[2].Reason != "longer than 65536 bytes" {
		t.Fatalf("%+v", got.BadLines)
	}
	// The last line about a subscription wins.
	if n, err := c.Count(ctx, client.Target{Query: json.RawMessage(`{"country":"DE"}`)}); err != nil || n.Count != 1 {
		t.Fatalf("%+v %v", n, err)
	}
	if n := everybody(t, c); n != 2 {
		t.Fatalf("%d subscriptions", n)
	}
	all, err := c.Imports(ctx, [16]byte{}, 0)
	if err != nil || len(all.Imports) != 1 || all.Imports[0].BadLines != nil {
		t.Fatalf("%+v %v", all, err)
	}
	again, text := w.raw("POST", "/v1/imports/"+got.ID.String()+"/data?offset=0", p.Key, lines, "Content-Type", "application/x-ndjson")
	if again.StatusCode != http.StatusConflict {
		t.Fatal(text)
	}
}

func TestImportOfCSV(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	lines := "provider,token,user,city,attributes.age:integer,tags.topics\r\n" +
		"fcm,t1,anna,\"Lyon, \"\"là\"\"\nbas\",41,politics|sport\r\n" +
		"fcm,t2,bert,Paris,old,\r\n" +
		"fcm,t3,carl,Nice\r\n" +
		"fcm,t4,dora,\"Brest\",,sport"
	_, text := w.raw("POST", "/v1/imports", p.Key, lines, "Content-Type", "text/csv; charset=utf-8")
	var got client.Import
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Imported != 2 || got.Bad != 2 || got.Lines != 6 {
		t.Fatal(text)
	}
	if got.BadLines[0] != (client.BadLine{Line: 4, Field: "attributes.age", Reason: "not an integer"}) || got.BadLines[1].Line != 5 {
		t.Fatalf("%+v", got.BadLines)
	}
	preview, err := c.Preview(t.Context(), client.PreviewRequest{Target: client.Target{Query: json.RawMessage(`{"city":"Lyon, \"là\"\nbas"}`)}})
	if err != nil || len(preview.Recipients) != 1 || preview.Recipients[0].User != "anna" {
		t.Fatalf("%+v %v", preview, err)
	}
}

func manyLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"provider":"fcm","token":"token-%06d","user":"user-%d","attributes":{"country":"FR","n":%d}}`+"\n", i, i/2, i)
	}
	return b.Bytes()
}

// cutConnection is a network that goes away after so many bytes, once.
type cutConnection struct {
	net.Conn
	left *int
}

func (c cutConnection) Write(p []byte) (int, error) {
	if *c.left > 0 {
		if *c.left -= len(p); *c.left <= 0 {
			c.Close()
			return 0, errors.New("cut")
		}
	}
	return c.Conn.Write(p)
}

func TestUploadGoesOnWhereItBroke(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, plain := w.newProject("a")
	const n = 60_000
	data := manyLines(n)
	left := len(data) / 2
	c, err := client.New(client.Config{URL: w.http.URL, Key: p.Key, HTTP: &http.Client{Transport: &http.Transport{
		Dial: func(network, address string) (net.Conn, error) {
			conn, err := net.Dial(network, address)
			return cutConnection{conn, &left}, err
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := plain.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON, Name: "big"})
	if err != nil {
		t.Fatal(err)
	}
	heard := int64(0)
	got, err := c.Upload(ctx, opened, bytes.NewReader(data), func(sent int64) { heard = sent })
	if err != nil || got.Status != client.ImportFinished || got.Lines != n || got.Imported != n || got.Offset != int64(len(data)) || heard != got.Offset {
		t.Fatalf("%+v heard %d: %v", got, heard, err)
	}
	if left > 0 {
		t.Fatal("the connection was not cut")
	}
	if n := everybody(t, plain); n != 60_000 {
		t.Fatalf("%d subscriptions", n)
	}
	last := client.Import{}
	for i, err := range plain.WatchImport(ctx, got.ID) {
		if err != nil {
			t.Fatal(err)
		}
		last = i
	}
	if last.Status != client.ImportFinished || last.Imported != n {
		t.Fatalf("%+v", last)
	}
	_, err = plain.Upload(ctx, client.Import{ID: got.ID, Format: client.NDJSON, Offset: 5}, bytes.NewReader(data), nil)
	wantProblem(t, err, http.StatusConflict, "finished", "")
}

// The node dies in the middle of an import and another one comes up on the
// same engines: what was durable stays, the stream goes on at the offset that
// the store knows, and lines that were read twice are there once.
func TestImportSurvivesItsNode(t *testing.T) {
	j, st, key := journalmem.New(), storemem.New(time.Now), filepath.Join(t.TempDir(), "key")
	first := newWorldOn(t, j, st, key)
	p, c := first.newProject("a")
	const n = 50_000
	data := manyLines(n)
	opened, err := c.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Upload(t.Context(), opened, bytes.NewReader(data[:len(data)/2+17]), nil) // in the middle of a line
	if err != nil {
		t.Fatal(err)
	}
	// A stream that ends cleanly finishes: so the node "dies" over another.
	opened, err = c.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	body, feed := io.Pipe()
	request, _ := http.NewRequestWithContext(t.Context(), "POST", first.http.URL+"/v1/imports/"+opened.ID.String()+"/data?offset=0", body)
	request.Header.Set("Authorization", "Bearer "+p.Key)
	request.Header.Set("Content-Type", "application/x-ndjson")
	gone := make(chan error, 1)
	go func() {
		answer, err := http.DefaultClient.Do(request)
		if err == nil {
			answer.Body.Close()
		}
		gone <- err
	}()
	if _, err := feed.Write(data[:len(data)/2+17]); err != nil {
		t.Fatal(err)
	}
	for moved := (client.Import{}); moved.Offset == 0; { // some of it is durable
		if moved, err = c.GetImport(t.Context(), opened.ID); err != nil {
			t.Fatal(err)
		}
	}
	first.http.CloseClientConnections()
	feed.CloseWithError(io.ErrUnexpectedEOF)
	<-gone
	first.stop()

	w := newWorldOn(t, j, st, key)
	c = w.client(p.Key)
	now, err := c.GetImport(t.Context(), opened.ID)
	if err != nil || now.Status != client.ImportOpen || now.Offset == 0 || now.Offset > int64(len(data)/2+17) || data[now.Offset-1] != '\n' || now.Imported != now.Lines {
		t.Fatalf("%+v %v", now, err)
	}
	_, text := w.raw("POST", "/v1/imports/"+opened.ID.String()+"/data?offset=0", p.Key, "x", "Content-Type", "application/x-ndjson")
	if !strings.Contains(text, fmt.Sprintf("want %d", now.Offset)) {
		t.Fatal(text)
	}
	got, err := c.Upload(t.Context(), now, bytes.NewReader(data), nil)
	if err != nil || got.Imported != n || got.Lines != n {
		t.Fatalf("%+v %v", got, err)
	}
	if total := everybody(t, c); total != n {
		t.Fatalf("%d subscriptions", total)
	}
}

// However a stream is cut into pieces and reads, its lines are the same.
func TestCutterKeepsLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOfN(rapid.RuneFrom([]rune("ab \"\n\r,")), 0, 200, -1).Draw(t, "text")
		quotes := rapid.Bool().Draw(t, "quotes")
		limit := rapid.IntRange(5, 300).Draw(t, "limit")
		c := &cutter{in: bufio.NewReaderSize(iotestReader{strings.NewReader(text)}, 16), quotes: quotes, limit: limit}
		p, err := c.next()
		if err != io.EOF || p.end != int64(len(text)) {
			t.Fatalf("ended at %d of %d: %v", p.end, len(text), err)
		}
		want := int64(strings.Count(text, "\n"))
		if text != "" && !strings.HasSuffix(text, "\n") {
			want++
		}
		if p.count != want {
			t.Fatalf("%d lines, want %d", p.count, want)
		}
		if quotes {
			return
		}
		at := 0
		for i, line := range strings.SplitAfter(text, "\n") {
			if strings.TrimSpace(line) == "" {
				continue
			}
			s := p.lines[at]
			at++
			if long := len(line) > limit+1; s.number != int64(i+1) || s.long != long || !long && string(p.data[s.from:s.to]) != line {
				t.Fatalf("line %d %q read as %+v %q", i+1, line, s, p.data[s.from:s.to])
			}
		}
	})
}

// iotestReader gives three bytes at a time.
type iotestReader struct{ io.Reader }

func (r iotestReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), 3)]) }

// What is kept of bad lines is bounded, or a few with long names would stop an
// import for good: its row would no longer fit the store.
func TestBadLinesAreKeptShort(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	lines := strings.Repeat(`{"`+strings.Repeat("<é\\u0001", 200)+`":"x"}`+"\n", 2*client.MaxBadLines)
	answer, text := w.raw("POST", "/v1/imports", p.Key, lines, "Content-Type", "application/x-ndjson")
	var got client.Import
	if err := json.Unmarshal([]byte(text), &got); err != nil || answer.StatusCode != http.StatusCreated {
		t.Fatalf("%d %.300s", answer.StatusCode, text)
	}
	if got.Bad != 2*client.MaxBadLines || len(got.BadLines) != client.MaxBadLines || len(text) > 512<<10 {
		t.Fatalf("%d bad, %d kept in %d bytes", got.Bad, len(got.BadLines), len(text))
	}
	if one := got.BadLines[0]; len(one.Field) < 20 || len(one.Field) > 100 || !strings.HasPrefix(one.Field, "<é") || one.Reason != "unknown field" {
		t.Fatalf("%+v", one)
	}
}

// While one stream of an import is read another is told to wait, and changes nothing.
func TestTwoStreamsOfOneImport(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	p, c := w.newProject("a")
	made, err := c.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		t.Fatal(err)
	}
	path := "/v1/imports/" + made.ID.String() + "/data?offset=0"
	body, more := io.Pipe()
	request, err := http.NewRequestWithContext(ctx, "POST", w.http.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+p.Key)
	request.Header.Set("Content-Type", "application/x-ndjson")
	ended := make(chan int, 1)
	go func() {
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Error(err)
			ended <- 0
			return
		}
		answer.Body.Close()
		ended <- answer.StatusCode
	}()
	fmt.Fprintln(more, `{"provider":"fcm","token":"t1"}`) // read by the transport only once the server asks for the body
	for {
		one, err := c.GetImport(ctx, made.ID)
		if err != nil {
			t.Fatal(err)
		}
		if one.Status == client.ImportRunning {
			break
		}
	}
	answer, text := w.raw("POST", path, p.Key, `{"provider":"fcm","token":"t2"}`, "Content-Type", "application/x-ndjson")
	if answer.StatusCode != http.StatusConflict || answer.Header.Get("Retry-After") == "" || !strings.Contains(text, `"running"`) {
		t.Errorf("%d %s", answer.StatusCode, text)
	}
	more.Close()
	if status := <-ended; status != http.StatusOK {
		t.Errorf("the first stream ended with %d", status)
	}
	if one, err := c.GetImport(ctx, made.ID); err != nil || one.Status != client.ImportFinished || one.Imported != 1 || everybody(t, c) != 1 {
		t.Errorf("%+v, %v", one, err)
	}
}

// A clock that steps back takes nothing back.
func TestAnImportEndsWhateverTheClock(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	w := newWorld(t, func(_ *Config, d *Deps) {
		var mu sync.Mutex
		d.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(-time.Minute)
			return now
		}
	})
	p, c := w.newProject("a")
	_, text := w.raw("POST", "/v1/imports", p.Key, `{"provider":"fcm","token":"t1"}`, "Content-Type", "application/x-ndjson")
	var ended client.Import
	if err := json.Unmarshal([]byte(text), &ended); err != nil {
		t.Fatal(text)
	}
	if kept, err := c.GetImport(t.Context(), ended.ID); err != nil || kept.Status != client.ImportFinished || kept.Imported != 1 {
		t.Fatalf("%+v %v", kept, err)
	}
}

// Rows that an open quote swallows are counted, and the quote is named.
func TestAnOpenQuoteIsNamed(t *testing.T) {
	w := newWorld(t)
	p, _ := w.newProject("a")
	for name, end := range map[string]string{"never closed": "", "closed by another": "fcm,t-last,\"Lyon\"\n"} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("provider,token,city\n")
			for n := range 3000 {
				fmt.Fprintf(&b, "fcm,token-%010d,%s\n", n, map[bool]string{true: `"Paris`, false: "Paris"}[n == 2000])
			}
			b.WriteString(end)
			_, text := w.raw("POST", "/v1/imports", p.Key, b.String(), "Content-Type", "text/csv")
			var got client.Import
			if err := json.Unmarshal([]byte(text), &got); err != nil || got.Imported+got.Bad+1 != got.Lines || got.Imported < 2000 {
				t.Fatalf("%v %.500s", err, text)
			}
			if one := got.BadLines[0]; one.Line != 2002 || !strings.Contains(one.Reason, "a quote opens here, so lines 2002 to ") {
				t.Fatalf("%+v", got.BadLines)
			}
		})
	}
}

// Lines that name only their subscription reach it, whatever its shard and
// whatever came just before; those that name nobody are bad lines.
func TestImportsChangeByIdentifier(t *testing.T) {
	w := newWorld(t)
	p, c := w.newProject("a")
	ids := make([]tocsin.SubscriptionID, 20)
	var lines, rows strings.Builder
	rows.WriteString("id,opted_in,provider,token,user\n")
	for n := range ids {
		one := client.Subscription{Provider: tocsin.FCM, Token: fmt.Sprint("tok-", n)}
		if n%2 == 0 {
			one.User = fmt.Sprint("user-", n)
		}
		made, err := c.PutSubscription(t.Context(), one)
		if err != nil {
			t.Fatal(err)
		}
		ids[n] = made.ID
		fmt.Fprintf(&lines, `{"id":"%s","opted_in":false}`+"\n", made.ID)
		fmt.Fprintf(&rows, "%s,true,,,\n", made.ID)
	}
	other, new := tocsin.SubscriptionID{1, 1}, tocsin.SubscriptionID{1, 2}
	for _, user := range []string{"", `"user":"nobody",`} {
		fmt.Fprintf(&lines, `{"id":"%s",%s"opted_in":false}`+"\n", other, user)
	}
	fmt.Fprintf(&lines, `{"id":"%s","user":"mallory","opted_in":true}`+"\n", ids[0])
	fmt.Fprintf(&lines, `{"id":"%s","user":"newcomer","provider":"fcm","token":"new"}`+"\n", new)
	fmt.Fprintf(&lines, `{"id":"%s","opted_in":false}`+"\n", new)
	lines.WriteString("{}\n")
	for _, each := range []struct {
		kind, body    string
		imported, bad int64
		first, last   int64 // bad lines
		reachable     int64
	}{
		{"application/x-ndjson", lines.String(), 22, 4, 21, 26, 0},
		{"text/csv", rows.String() + other.String() + ",true,,,\n" + ids[0].String() + ",false,fcm,tok-0,user-0\n" + ids[0].String() + ",true,,,\n", 22, 1, 22, 22, 20},
	} {
		_, text := w.raw("POST", "/v1/imports", p.Key, each.body, "Content-Type", each.kind)
		var got client.Import
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.Imported != each.imported || got.Bad != each.bad {
			t.Fatalf("%s: %s", each.kind, text)
		}
		if b := got.BadLines; b[0].Line != each.first || b[0].Field != "id" || b[len(b)-1].Line != each.last {
			t.Fatalf("%s: %+v", each.kind, b)
		}
		n, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(`{}`)})
		if err != nil || n.Matched != 21 || n.Count != each.reachable {
			t.Fatalf("%s: %+v %v", each.kind, n, err)
		}
	}
}
