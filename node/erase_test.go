package node_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// A person who is erased with everything that a node can come to know of one is
// nowhere afterwards: in no file, compressed or not, in no log line, metric or
// answer. Meanwhile a send is under way, and goes on.
func TestErase(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	secret := func() string {
		raw := make([]byte, 16)
		for i := range raw {
			raw[i] = byte(random.Uint32())
		}
		return hex.EncodeToString(raw)
	}
	const people = 3000
	town := newTown(t, func(_ *node.Config, s *sim.Config) { s.APNs.MaxRate = 200 })
	town.populate(tocsin.APNs, people)

	anna := map[string]string{}
	for _, what := range []string{"user", "token", "old token", "mail", "old mail", "tag", "old tag", "of the person", "asked for",
		"asked for later", "in a long list", "in a long list for later", "in a bad line", "done", "done then"} {
		anna[what] = secret()
	}
	number := int64(random.Uint64() >> 1)
	put := func(token, mail, tag string) tocsin.SubscriptionID {
		t.Helper()
		made, err := town.api.PutSubscription(t.Context(), client.Subscription{ID: town.persons[0], User: anna["user"], Provider: tocsin.APNs, Token: token + token, Topic: sim.Topic(0),
			Attributes: map[string]client.Value{"mail": client.TextValue(mail), "number": client.IntegerValue(number)}, Tags: map[string]client.Tags{"own": {Replace: []string{tag}}}})
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	first := put(anna["old token"], anna["old mail"], anna["old tag"])
	town.persons[0] = first
	id := put(anna["token"], anna["mail"], anna["tag"])
	if id != first {
		t.Fatalf("%s became %s", first, id)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(town.api.UpdateProfile(t.Context(), anna["user"], client.ProfileUpdate{Attributes: map[string]client.Value{"known": client.TextValue(anna["of the person"])}}))
	for _, what := range []string{"done", "done then"} {
		result, err := town.api.PutEvents(t.Context(), client.EventBatch{Events: []client.Event{{User: anna["user"], Name: "bought", ID: anna[what],
			Fields: map[string]client.Value{"what": client.TextValue(anna[what])}}}})
		if err != nil || result.Accepted != 1 {
			t.Fatalf("%+v, %v", result, err)
		}
	}
	list, err := town.api.OpenList(t.Context(), "friends", client.ListReplace, client.ImportRequest{Format: client.NDJSON}, false)
	must(err)
	if done, err := town.api.Upload(t.Context(), list, strings.NewReader(`{"user":"`+anna["user"]+`"}`+"\n"+`{"user":"person-3"}`+"\n"), nil); err != nil || done.Imported != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	open, err := town.api.OpenImport(t.Context(), client.ImportRequest{Format: client.NDJSON})
	must(err)
	if done, err := town.api.Upload(t.Context(), open, strings.NewReader(`{"provider":"`+anna["in a bad line"]+`"}`+"\n"), nil); err != nil || done.Bad != 1 {
		t.Fatalf("%+v, %v", done, err)
	}

	everyone, err := town.api.Send(t.Context(), client.SendRequest{Target: everybody(), Message: message()}, "")
	must(err)
	to := func(value string, many bool, at *time.Time) tocsin.SendID {
		t.Helper()
		r := client.SendRequest{Message: client.Message{Languages: map[string]client.Content{"en": {Title: "For {{ name }}"}}}, At: at}
		r.Target.Recipients = []client.Recipient{{User: anna["user"], Values: map[string]string{"name": value}}, {User: "person-7", Values: map[string]string{"name": "seven"}}}
		for n := range 1000 {
			if many {
				r.Target.Recipients = append(r.Target.Recipients, client.Recipient{User: fmt.Sprintf("nobody-%d", n), Values: map[string]string{"name": strings.Repeat("x", 400)}})
			}
		}
		made, err := town.api.Send(t.Context(), r, "")
		must(err)
		return made.ID
	}
	tomorrow := time.Now().Add(24 * time.Hour)
	to(anna["asked for"], false, nil)
	to(anna["in a long list"], true, nil)
	later := to(anna["asked for later"], false, &tomorrow)
	to(anna["in a long list for later"], true, &tomorrow)

	exported, err := town.api.Export(t.Context(), anna["user"])
	if err != nil || len(exported.Subscriptions) != 1 || exported.Subscriptions[0].Token != anna["token"]+anna["token"] ||
		exported.Attributes["known"] != client.TextValue(anna["of the person"]) || !slices.Equal(exported.Subscriptions[0].Tags["own"], []string{anna["tag"]}) ||
		!slices.Equal(exported.Lists, []string{"friends"}) || len(exported.Events) != 1 || exported.Events[0].Count != 2 || len(exported.Events[0].Days[0].Fields) != 2 {
		t.Fatalf("%+v, %v, of %q", exported, err, anna)
	}
	if held := town.holds(anna["mail"]); len(held) == 0 {
		t.Fatal("nothing is there to be erased")
	}

	begun := time.Now()
	erasure, err := town.api.Erase(t.Context(), client.ErasureRequest{User: anna["user"], Now: true})
	must(err)
	if _, err := town.api.Export(t.Context(), anna["user"]); err == nil {
		t.Error("there is something to export")
	}
	if count, err := town.api.Count(t.Context(), client.Target{Query: []byte(`{"mail":{"$exists":true}}`)}); err != nil || count.Matched != 0 {
		t.Errorf("%+v, %v", count, err)
	}
	var steps []string
	for now, err := range town.api.WatchErasure(t.Context(), erasure.ID) {
		must(err)
		if erasure = now; now.Step != "" {
			steps = append(steps, now.Step)
		}
	}
	if erasure.Status != client.ErasureDone || erasure.DoneAt.Before(erasure.CreatedAt) || len(steps) == 0 {
		t.Fatalf("%+v after %q", erasure, steps)
	}
	if now, err := town.api.GetSend(t.Context(), everyone.ID); err != nil || now.Status.Ended() {
		t.Fatalf("the send had ended before: %+v, %v", now, err)
	}
	t.Logf("erased in %v: %q", time.Since(begun), steps)
	for what, value := range anna {
		if held := town.holds(value); len(held) > 0 {
			t.Errorf("%s is left in %v", what, held)
		}
		if raw, err := hex.DecodeString(value); err != nil || len(town.holds(string(raw))) > 0 {
			t.Errorf("%s is left as bytes in %v", what, town.holds(string(raw)))
		}
	}
	le := make([]byte, 8)
	for i := range le {
		le[i] = byte(number >> (8 * i))
	}
	if held := town.holds(string(le)); len(held) > 0 {
		t.Errorf("the number is left in %v", held)
	}
	if now := town.ended(everyone.ID); now.Counters.Accepted+now.Counters.Suppressed != people+1 {
		t.Errorf("%+v", now.Counters)
	}

	// Whoever comes with the same identifiers is somebody new, also after a restart.
	town.stop()
	town.start()
	if again := put(secret(), secret(), "fresh"); again != first {
		t.Errorf("the identifier that was asked for is %s", again)
	}
	exported, err = town.api.Export(t.Context(), anna["user"])
	if err != nil || len(exported.Attributes)+len(exported.Events)+len(exported.Lists) != 0 || len(exported.Subscriptions) != 1 || exported.Subscriptions[0].CreatedAt.Before(begun.Truncate(time.Second)) {
		t.Errorf("%+v, %v", exported, err)
	}
	if now, err := town.api.GetSend(t.Context(), later); err != nil || now.Status.Ended() {
		t.Errorf("%+v, %v", now, err)
	}
	found, err := town.api.Erasures(t.Context(), tocsin.ErasureID{}, 10)
	if err != nil || len(found.Erasures) != 1 || found.Erasures[0] != erasure {
		t.Errorf("%+v, %v, want %+v", found, err, erasure)
	}
}

// holds lists where some text stands: files as they are, tables decompressed with
// all their versions, log and metrics.
func (t *town) holds(text string) (places []string) {
	t.Helper()
	err := filepath.WalkDir(t.config.Dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // it went meanwhile
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		if strings.HasSuffix(path, ".sst") {
			content = append(content, t.table(path)...)
		}
		if bytes.Contains(content, []byte(text)) {
			places = append(places, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(t.log.String(), text) {
		places = append(places, "the log")
	}
	answer, err := http.Get(t.url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if metrics, err := io.ReadAll(answer.Body); err != nil || strings.Contains(string(metrics), text) {
		places = append(places, fmt.Sprint("the metrics ", err))
	}
	return places
}

// table is all keys and values of a table, also those that are covered.
func (t *town) table(path string) (content []byte) {
	file, err := vfs.Default.Open(path)
	if err != nil {
		return nil // it went meanwhile
	}
	source, err := sstable.NewSimpleReadable(file)
	if err != nil {
		return nil
	}
	reader, err := sstable.NewReader(context.Background(), source, sstable.ReaderOptions{})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer reader.Close()
	rows, err := reader.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer rows.Close()
	for row := rows.First(); row != nil; row = rows.Next() {
		value, _, err := row.Value(nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		content = append(append(content, row.K.UserKey...), value...)
	}
	return content
}
