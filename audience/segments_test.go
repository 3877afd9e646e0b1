package audience

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// segmented reads a target with the segments that it names.
func segmented(t *testing.T, definitions map[string]string, text string) *target.Query {
	t.Helper()
	q, err := target.NewLibrary(target.Widest(), func(name string) ([]byte, bool) { return []byte(definitions[name]), true }, nil).Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

// caughtUp does what the follower's task does.
func (w *world) caughtUp() bool {
	w.t.Helper()
	worked, err := w.shard.CatchUp(w.t.Context())
	if err != nil {
		w.t.Error(err)
	}
	return worked
}

// definition writes a random segment that may name some others.
func definition(random *rand.Rand, depth int, others []string) string {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	if depth > 0 && random.IntN(3) > 0 {
		inner := func() string { return definition(random, depth-1, others) }
		return pick(`{"$not":`+inner()+`}`, `{"$and":[`+inner()+`,`+inner()+`]}`, `{"$or":[`+inner()+`,`+inner()+`]}`)
	}
	if len(others) > 0 && random.IntN(4) == 0 {
		return fmt.Sprintf(`{"segment":{"%s":"%s"}}`, pick("$eq", "$ne"), pick(others...))
	}
	return pick(fmt.Sprintf(`{"country":{"%s":"%d"}}`, pick("$eq", "$ne"), random.IntN(4)), fmt.Sprintf(`{"plan":{"$gte":%d}}`, random.IntN(3)),
		fmt.Sprintf(`{"tags":{"$contains":"t%d"}}`, random.IntN(5)), `{"opted_in":true}`, `{"has_profile":false}`, `{"plan":{"$exists":true}}`,
		fmt.Sprintf(`{"last_active":{"$gte":"%s"}}`, noon.Add(time.Duration(random.IntN(100))*time.Hour).Format(time.RFC3339)),
		fmt.Sprintf(`{"last_active":{"$gte":"now+%dh"}}`, random.IntN(100)), `{"created":{"$exists":true}}`, `{"list":"vip"}`, `{"event":{"name":"read"}}`, `{}`)
}

// differ asks for those whom a segment and its definition do not agree about.
func differ(name, definition string) string {
	return fmt.Sprintf(`{"$or":[{"$and":[{"segment":"%s"},{"$not":%s}]},{"$and":[{"segment":{"$ne":"%[1]s"}},%[2]s]}]}`, name, definition)
}

// Whatever changed, restarts and changes of the definition among it, a segment
// finds whom its definition finds at that moment.
func TestSegmentsAreWhatTheyMean(t *testing.T) {
	kept := 0
	for range 25 {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t)
		w.apply(news)
		definitions, names := map[string]string{}, []string(nil)
		for n := range 6 {
			name := fmt.Sprint("s", n)
			definitions[name] = definition(random, n%3, names)
			names = append(names, name)
		}
		for step := range 60 {
			switch random.IntN(30) {
			case 0:
				w.restart()
			case 1:
				definitions["s0"] = definition(random, 2, nil)
			case 2:
				w.apply(news, story(random, 1500)...)
			case 3:
				for w.caughtUp() {
				}
			case 4, 5, 6, 7:
				w.caughtUp()
			case 8, 9, 10, 11, 12, 13: // the same row again and again
				w.apply(news, optIn(7, random.IntN(2) == 0))
			default:
				w.apply(news, story(random, 1+random.IntN(20))...)
			}
			for _, name := range names {
				if random.IntN(3) == 0 {
					continue // it lags behind
				}
				q := segmented(t, definitions, differ(name, definitions[name]))
				if c := counted(t, w.shard, q); c.Matched != 0 {
					t.Fatalf("seed %d, step %d: %d do not agree about segment %s, which is %s", seed, step, c.Matched, name, definitions[name])
				}
			}
			kept = max(kept, len(w.shard.projects[news].segments.kept))
		}
	}
	if kept < 3 {
		t.Errorf("%d segments are kept at most: nothing was held against anything", kept)
	}
}

// Who asks while somebody writes sees one moment, and rows that are right for it.
func TestSegmentsWhileSomebodyWrites(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	definitions := map[string]string{"a": `{"country":"1","opted_in":true}`, "b": `{"$or":[{"segment":"a"},{"tags":{"$contains":"t1"}}]}`, "c": `{"$not":{"segment":"b"}}`}
	w.apply(news, story(random, 100)...)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for name, text := range definitions {
		q := segmented(t, definitions, differ(name, text))
		readers.Go(func() {
			for ctx.Err() == nil {
				if c, err := w.shard.Count(t.Context(), news, q, noon); err != nil || c.Matched != 0 {
					t.Errorf("%d do not agree about segment %s, %v", c.Matched, name, err)
					return
				}
			}
		})
	}
	readers.Go(func() {
		for ctx.Err() == nil {
			w.caughtUp()
		}
	})
	for range 300 {
		w.apply(news, story(random, 20)...)
	}
	stop()
	readers.Wait()
}

// A send finds whom its definitions of then find, whatever the names mean now.
func TestTheDefinitionsOfASend(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, with("country", "1")), phone(1, with("country", "2")), phone(2))
	definitions := map[string]string{"ones": `{"country":"1"}`, "known": `{"$or":[{"segment":"ones"},{"country":"2"}]}`, "twos": `{"country":"2"}`}
	const text = `{"$not":{"segment":"known"}}`
	parts := Definitions(segmented(t, definitions, text))
	if len(parts) != 2 {
		t.Errorf("%v", parts)
	}
	q, err := Query([]byte(text), parts)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // from the second time on somebody may have kept them
		a, err := w.shard.Evaluate(t.Context(), news, q, noon, Cut{})
		if err != nil || len(a.Lots) != 1 || !slices.Equal(a.Lots[0].Ordinals.ToArray(), []uint32{2}) {
			t.Errorf("%+v %v", a, err)
		}
		w.caughtUp()
	}
	if _, err := Query([]byte(text), parts[:1]); err == nil {
		t.Error("a send is read without a definition that it had")
	}
}

// Rows are kept for those who are asked for again and stay as they are by
// themselves, for as many as fit, and the writer pays for none of them.
func TestWhichSegmentsAreKept(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, with("country", "1")), phone(1))
	s := &w.shard.projects[news].segments
	ask := func(definition string, want uint64) {
		t.Helper()
		if c := counted(t, w.shard, segmented(t, map[string]string{"x": definition}, `{"segment":"x"}`)); c.Matched != want {
			t.Errorf("%s counts %d, want %d", definition, c.Matched, want)
		}
	}
	for _, moves := range []string{`{"last_active":{"$lt":"now-1d"}}`, `{"last_active":{"$lt":"today"}}`, `{"list":"vip"}`, `{"event":{"name":"read"}}`, `{"sent":"snd_01m844dzg00400000000000000"}`,
		`{"$or":[{"country":"2"},{"$not":{"created":{"$lt":"now+1d"}}}]}`} {
		ask(moves, 0)
		ask(moves, 0)
	}
	ask(`{"country":"1"}`, 1)
	if len(s.kept) != 0 || w.caughtUp() {
		t.Errorf("%d are kept too early, or move by themselves", len(s.kept))
	}
	ask(`{"country":{"$eq":"1"}}`, 1) // another way to write the same
	if len(s.kept) != 1 || !w.caughtUp() || w.caughtUp() {
		t.Errorf("%d are kept", len(s.kept))
	}
	rows := func() *kept {
		for _, k := range s.kept {
			return k
		}
		return nil
	}
	// A few rows are corrected by who asks, many in the background; those of an
	// import are more than pays.
	var changes []*record.Change
	for n := range 16 * prompt {
		changes = append(changes, phone(2+n, with("country", strings.Repeat("1", 1+n%2))))
	}
	w.apply(news, changes[:prompt/8]...)
	ask(`{"country":"1"}`, 1+prompt/16)
	if k := rows(); k.upTo != s.end() || k.rows.Len() != 1+prompt/16 || w.caughtUp() {
		t.Errorf("%d of %d are taken into account", k.upTo, s.end())
	}
	w.apply(news, changes...)
	ask(`{"country":"1"}`, 1+8*prompt)
	if k := rows(); k.upTo >= s.first || !w.caughtUp() || w.caughtUp() || k.rows.Len() != 1+8*prompt {
		t.Errorf("%d of %d to %d are taken into account", k.upTo, s.first, s.end())
	}
	w.apply(news, changes[:prompt+prompt/2]...)
	before := rows().upTo
	ask(`{"country":"1"}`, 1+8*prompt)
	if k := rows(); k.upTo != before || !w.caughtUp() || k.upTo != before+prompt || !w.caughtUp() || k.upTo != s.end() || w.caughtUp() {
		t.Errorf("%d of %d are taken into account, %d before", k.upTo, s.end(), before)
	}
	s.fit(0)
	if len(s.kept) != 0 {
		t.Error("there is more than fits")
	}
	ask(`{"country":"1"}`, 1+8*prompt)
}

// The follower's task finds the rows of a segment that was asked for again, keeps
// them from lagging behind, and does nothing after a restart until somebody asks.
func TestTheFollowerCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, fs := mem.New(), vfs.NewMem()
		w := newAppender(j)
		w.append(t, phone(0, with("country", "1")), phone(1))
		f := open(t, j, folderOn(t, fs), slog.New(slog.DiscardHandler))
		stop := running(t, f)
		q := segmented(t, map[string]string{"x": `{"country":"1"}`}, `{"segment":"x"}`)
		in := func(f *Follower) int {
			time.Sleep(time.Minute)
			synctest.Wait()
			for _, k := range f.Shard().projects[news].segments.kept {
				if k.rows == nil || k.upTo != f.Shard().projects[news].segments.end() {
					return -1
				}
				return k.rows.Len()
			}
			return 0
		}
		counted(t, f.Shard(), q)
		if n := in(f); n != 0 {
			t.Errorf("%d rows are kept after one asking", n)
		}
		counted(t, f.Shard(), q)
		if n := in(f); n != 1 {
			t.Errorf("%d rows are kept", n)
		}
		var changes []*record.Change
		for n := range prompt / 4 {
			changes = append(changes, phone(2+n, with("country", "1")))
		}
		w.append(t, changes...)
		if n := in(f); n != 1+prompt/4 {
			t.Errorf("%d rows are kept after %d came", n, prompt/4)
		}
		if err := f.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
		again := open(t, j, folderOn(t, fs), slog.New(slog.DiscardHandler))
		stop = running(t, again)
		defer stop()
		if n := in(again); n != 0 || counted(t, again.Shard(), q).Matched != 1+prompt/4 {
			t.Errorf("%d rows are kept after a restart", n)
		}
	})
}
