package audience

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/snapshot"
	"github.com/tocsin-push/tocsin/snapshot/disk"
)

var (
	scope     = record.Scope{Project: news, Environment: tocsin.Production}
	partition = journal.Partition{Topic: journal.Changes, Shard: 3}
)

func keeperOf(t *testing.T, engine snapshot.Engine) *snapshot.Keeper {
	t.Helper()
	keeper, err := snapshot.New("audience", engine, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return keeper
}

func folderOn(t *testing.T, fs vfs.FS) *snapshot.Keeper {
	t.Helper()
	folder, err := disk.Open(fs, "audience")
	if err != nil {
		t.Fatal(err)
	}
	return keeperOf(t, folder)
}

// filesOn are the files of shard 3 in a folder.
func filesOn(t *testing.T, fs vfs.FS) (files snapshot.Files, ids []snapshot.ID) {
	t.Helper()
	folder, err := disk.Open(fs, "audience")
	if err != nil {
		t.Fatal(err)
	}
	if files, err = folder.Take(t.Context(), 3); err == nil {
		ids, err = files.List()
	}
	if err != nil {
		t.Fatal(err)
	}
	return files, ids
}

func open(t *testing.T, j journal.Journal, snapshots *snapshot.Keeper, log *slog.Logger) *Follower {
	t.Helper()
	f, err := Open(t.Context(), Default(), 3, j, snapshots, log)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// inParts is open where small projects too are stored in parts.
func inParts(t *testing.T, j journal.Journal, fs vfs.FS, log *slog.Logger) *Follower {
	t.Helper()
	f := open(t, j, folderOn(t, fs), log)
	f.shard.small = 0
	return f
}

// appender writes changes to the log of shard 3.
type appender struct {
	journal journal.Journal
	writer  *record.Writer
}

func newAppender(j journal.Journal) *appender { return &appender{j, record.NewWriter(9)} }

// append writes one record and returns the mark that shows it.
func (a *appender) append(t *testing.T, changes ...*record.Change) (mark uint64) {
	t.Helper()
	e := a.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}}, noon, scope)
	positions, err := a.journal.Append(t.Context(), partition, record.Encode(e))
	if err != nil {
		t.Fatal(err)
	}
	return uint64(positions[0]) + 1
}

// running runs a follower until it is ready; the function returned stops it.
func running(t *testing.T, f *Follower) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	select {
	case <-f.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// everybody describes all subscriptions of a shard, for comparing.
func everybody(s *Shard) map[tocsin.SubscriptionID]ask.Subscription {
	all := make(map[tocsin.SubscriptionID]ask.Subscription)
	for id, p := range s.projects {
		for o := range uint32(p.rows.ids.Len()) {
			subscription := p.rows.ids.At(o)
			if subscription.IsZero() {
				continue // erased
			}
			all[subscription], _ = s.Find(id, subscription)
		}
	}
	return all
}

// story is random changes, the same for the same seed.
func story(random *rand.Rand, n int) (changes []*record.Change) {
	for range n {
		who := random.IntN(60)
		if random.IntN(80) == 0 { // everybody else in the story has not heard of it
			from, to := random.IntN(4), random.IntN(5)
			changes = append(changes, naming(uint64(1+random.IntN(1000)), from > 2, []string{"country", "plan", "colour", "tags"}[from],
				[]string{"", "country", "plan", "colour", "labels"}[to]))
			continue
		}
		if random.IntN(40) == 0 {
			key := UserKey(fmt.Sprint(random.IntN(10)))
			changes = append(changes, &record.Change{Change: &record.Change_Erase{Erase: &record.Erase{Profile: key}}})
			continue
		}
		if random.IntN(8) == 0 {
			by := any(who)
			if random.IntN(2) == 0 {
				by = fmt.Sprint(random.IntN(10))
			}
			changes = append(changes, event(string(rune('a'+random.IntN(3))), noon.Add(-time.Duration(random.IntN(500))*time.Hour), by, func(e *record.Event) {
				e.Fields = []*record.Attribute{{Name: "n", Value: &record.Attribute_Integer{Integer: int64(random.IntN(5))}}}[:random.IntN(2)]
			}))
			continue
		}
		switch random.IntN(8) {
		case 0:
			changes = append(changes, remove(who))
		case 1:
			changes = append(changes, optIn(who, random.IntN(2) == 0))
		case 2:
			at := time.Time{}
			if random.IntN(2) == 0 {
				at = noon.Add(time.Duration(random.IntN(100)) * time.Hour)
			}
			changes = append(changes, gone(who, uint64(3*random.IntN(60)), at))
		case 3:
			changes = append(changes, &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{
				Profile:    UserKey(fmt.Sprint(random.IntN(10))),
				Attributes: []*record.Attribute{{Name: "plan", Value: &record.Attribute_Integer{Integer: int64(random.IntN(3))}}},
				Tags:       []*record.TagSet{{Name: "tags", Add: []string{fmt.Sprint("t", random.IntN(5))}}}}}})
		default:
			changes = append(changes, phone(who, of(fmt.Sprint(random.IntN(10))), with("country", fmt.Sprint(random.IntN(4))),
				func(u *record.Upsert) {
					u.Address = token(random.IntN(60))
					u.Active = noon.Add(time.Duration(random.IntN(100)) * time.Hour).UnixNano()
					u.Derived = random.IntN(2) == 0
					if random.IntN(3) == 0 {
						u.Tags = []*record.TagSet{{Name: "tags", Replace: []string{"t1"}, Remove: []string{"t2"}}}
					}
				}))
		}
	}
	return changes
}

// However often it is snapshotted and started again, and though one of its two
// snapshots is damaged now and then, a shard equals the one that read the whole
// log.
func TestSnapshotsRestartsAndDamageChangeNothing(t *testing.T) {
	for _, small := range []int{0, bundleBytes} {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		j, fs := mem.New(), vfs.NewMem()
		whole := NewShard(0) // reads what the journal forgets
		w := newAppender(j)
		var said bytes.Buffer
		log := slog.New(slog.NewTextHandler(&said, nil))
		var read journal.Position
		damaged, fell := false, 0 // since a snapshot was made
		for range 60 {
			w.append(t, story(random, random.IntN(80)+1)...)
			records, next, err := j.Read(t.Context(), partition, read, 64<<20)
			if err != nil {
				t.Fatal(err)
			}
			read = next
			for _, r := range records {
				e, err := record.Decode(r.Data)
				if err != nil || whole.Apply(uint64(r.Position), e) != nil {
					t.Fatal(err)
				}
			}
			said.Reset()
			f := open(t, j, folderOn(t, fs), log)
			f.shard.small = small
			if strings.Contains(said.String(), "falling back") {
				fell++
			}
			stop := running(t, f)
			switch random.IntN(4) {
			case 0, 1:
				err = f.Snapshot(t.Context())
				damaged = false
			case 2:
				if random.IntN(4) == 0 {
					err = f.Rewrite(t.Context())
					damaged = false
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			stop()
			if have, want := deeds(f.Shard()), deeds(whole); !maps.Equal(have, want) {
				t.Fatalf("people did %v, want %v", have, want)
			}
			if have, want := everybody(f.Shard()), everybody(whole); !reflect.DeepEqual(have, want) {
				t.Fatalf("after a restart it is\n%+v\nwant\n%+v", have, want)
			}
			for _, text := range []string{`{"country":"1"}`, `{"plan":{"$in":[1,2]}}`, `{"tags":{"$contains":["t1","t3"]}}`, `{"$not":{"opted_in":true}}`} {
				q := query(t, text)
				if have, want := evaluated(t, f.Shard(), q), evaluated(t, whole, q); !equalAudience(have, want) {
					t.Fatalf("%s reaches %v, want %v", text, have, want)
				}
				if counted(t, f.Shard(), q) != counted(t, whole, q) {
					t.Fatalf("%s counts differ", text)
				}
			}
			if len(f.kept.Good()) == 2 && !f.kept.Good()[0].Apart(f.kept.Good()[1]) {
				t.Fatalf("the two snapshots share files: %v, %v", f.kept.Good()[0].Files, f.kept.Good()[1].Files)
			}
			if len(f.kept.Good()) == 2 && !damaged && random.IntN(2) == 0 {
				parts := f.kept.Good()[random.IntN(2)].Files
				files, _ := filesOn(t, fs)
				contents(t, fs, files.Name(parts[random.IntN(len(parts))].ID), func(b []byte) []byte {
					if random.IntN(4) == 0 {
						return b[:random.IntN(len(b))]
					}
					b[random.IntN(len(b))] ^= 1 << random.IntN(8)
					return b
				})
				damaged = true
			}
		}
		first, err := j.First(t.Context(), partition)
		if err != nil || first < 2 {
			t.Errorf("the log was never trimmed: it starts at %d, %v", first, err)
		}
		if fell == 0 {
			t.Error("it never fell back")
		}
	}
}

func equalAudience(a, b Audience) bool {
	if len(a.Lots) != len(b.Lots) || a.Generation != b.Generation {
		return false
	}
	for i := range a.Lots {
		if a.Lots[i].Route != b.Lots[i].Route || a.Lots[i].Bucket != b.Lots[i].Bucket || !a.Lots[i].Ordinals.Equals(b.Lots[i].Ordinals) {
			return false
		}
	}
	return true
}

// A repeat of a record is dropped also when the first was before the snapshot.
func TestSnapshotRemembersWhatItHasSeen(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0))
	w.apply(news, remove(0))
	w.shard = reread(t, w.shard)
	w.again(w.pos+3, w.log[0])
	w.expect(`{}`)
}

// What was frozen stays as it was while the shard goes on.
func TestFrozenIsOneMoment(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	w := newWorld(t)
	w.apply(news, story(random, 200)...)
	for range 10 {
		did, want, m := deeds(w.shard), everybody(w.shard), w.shard.begin()
		done := make(chan *Shard)
		go func() { done <- readBack(t, m) }()
		for range 20 {
			w.apply(news, story(random, 20)...)
		}
		back := <-done
		have := everybody(back)
		m.End()
		if now := deeds(back); !maps.Equal(now, did) {
			t.Fatalf("people did %v, want %v", now, did)
		}
		if !reflect.DeepEqual(have, want) {
			t.Fatalf("it is\n%+v\nwant\n%+v", have, want)
		}
	}
}

// reread makes a snapshot of a shard and reads it.
func reread(t *testing.T, s *Shard) *Shard {
	m := s.begin()
	defer m.End()
	return readBack(t, m)
}

func readBack(t *testing.T, m *moment) *Shard {
	again := NewShard(m.shard.number)
	again.applied, again.seen = m.applied, m.seen
	for _, id := range m.projects {
		f := m.take(id)
		from := index.SavedOf(f.streams)
		again.projects[id] = restore(id, m.shard.number, from)
		f.End()
		if from.Err() != nil {
			t.Error(from.Err())
		}
	}
	return again
}

// snapshots fills a folder with two snapshots and leaves a tail in the log.
func snapshots(t *testing.T, fs vfs.FS) (journal.Journal, []snapshot.ID) {
	t.Helper()
	j := mem.New()
	w := newAppender(j)
	folder := folderOn(t, fs)
	for n := range 3 {
		w.append(t, phone(n))
		f := open(t, j, folder, slog.New(slog.DiscardHandler))
		stop := running(t, f)
		if err := f.Snapshot(t.Context()); err != nil {
			t.Fatal(err)
		}
		stop()
	}
	w.append(t, phone(3))
	_, positions := filesOn(t, fs)
	if len(positions) != 2 {
		t.Fatal(positions)
	}
	return j, positions
}

func contents(t *testing.T, fs vfs.FS, path string, change func([]byte) []byte) {
	t.Helper()
	file, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if _, err := file.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	b = change(b)
	file, err = fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = file.Write(b)
	}
	if err = errors.Join(err, file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedSnapshotFallsBackAndSaysSo(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"flipped bit in the head":    func(b []byte) []byte { b[3] ^= 1; return b },
		"flipped bit in the length":  func(b []byte) []byte { b[len("tocsin audience 3\n")] ^= 1; return b },
		"flipped bit in the content": func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"flipped bit at the end":     func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
		"torn":                       func(b []byte) []byte { return b[:len(b)-16] },
		"something after the end":    func(b []byte) []byte { return append(b, 0) },
		"empty":                      func(b []byte) []byte { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			j, positions := snapshots(t, fs)
			files, _ := filesOn(t, fs)
			path := files.Name(positions[0])
			contents(t, fs, path, damage)
			var said bytes.Buffer
			f := open(t, j, folderOn(t, fs), slog.New(slog.NewTextHandler(&said, nil)))
			if !strings.Contains(said.String(), path) || !strings.Contains(said.String(), "damaged") {
				t.Errorf("the log does not name the file: %s", said.String())
			}
			if f.Shard().Applied() != positions[1].Position {
				t.Error("the older one was not taken")
			}
			stop := running(t, f)
			if c := counted(t, f.Shard(), nil); c.Matched != 4 {
				t.Error(c)
			}
			if err := f.Snapshot(t.Context()); err != nil {
				t.Error(err)
			}
			stop()
			if _, left := filesOn(t, fs); len(left) != 2 || left[1] != positions[1] || f.trimmedBelow() != positions[1].Position {
				t.Errorf("kept are %v, trimmed below %d", left, f.trimmedBelow())
			}
		})
	}
}

// trimmedBelow is where the older of two good snapshots lets the log begin, 0
// while there are not two.
func (f *Follower) trimmedBelow() uint64 {
	f.writing.Lock()
	defer f.writing.Unlock()
	if len(f.kept.Good()) < 2 {
		return 0
	}
	return f.kept.Good()[1].ID.Position
}

func TestNothingGoodLeftIsAnError(t *testing.T) {
	fs := vfs.NewMem()
	j, positions := snapshots(t, fs)
	files, _ := filesOn(t, fs)
	for _, p := range positions {
		contents(t, fs, files.Name(p), func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	}
	f := open(t, j, folderOn(t, fs), slog.New(slog.DiscardHandler))
	if err := f.Run(t.Context()); !errors.Is(err, journal.ErrTrimmed) {
		t.Errorf("it goes on without what was trimmed: %v", err)
	}
}

// It writes snapshots by itself, when the log has grown or time has passed.
func TestSnapshotsComeByThemselves(t *testing.T) {
	j, fs := mem.New(), vfs.NewMem()
	w := newAppender(j)
	c := Default()
	c.SnapshotBytes = 1 << 10
	f, err := Open(t.Context(), c, 3, j, folderOn(t, fs), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := running(t, f)
	for n := 0; f.trimmedBelow() == 0; n++ {
		if err := f.Shard().Await(t.Context(), w.append(t, phone(n))); err != nil {
			t.Fatal(err)
		}
	}
	stop()
}
