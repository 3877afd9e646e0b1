package catalogue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

var (
	noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	news = tocsin.MakeID[tocsin.ProjectID](noon, [10]byte{1})
	crm  = Writer{Server, tocsin.MakeID[tocsin.KeyID](noon, [10]byte{1}), "crm"}
	app  = Writer{Via: Device}
)

// world is some processes on one store.
type world struct {
	*testing.T
	store   *counting
	mu      sync.Mutex
	now     time.Time
	written []*record.Names // on the shards
	fail    error           // of the next writes
	before  []Use           // on the shards of an older build
}

// counting counts rows written, and may lose the answer.
type counting struct {
	store.Store
	mu    sync.Mutex
	puts  int
	lossy bool
}

func (c *counting) PutIf(ctx context.Context, at store.Place, key string, old, value []byte, expires time.Time) (bool, store.Row, error) {
	ok, row, err := c.Store.PutIf(ctx, at, key, old, value, expires)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.puts++
	if c.lossy && c.puts%3 == 0 {
		return false, store.Row{}, store.ErrAmbiguous
	}
	return ok, row, err
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, now: noon}
	w.store = &counting{Store: mem.New(func() time.Time { return w.now })}
	return w
}

func (w *world) process(change ...func(*Config)) *Service {
	c := Default()
	for _, f := range change {
		f(&c)
	}
	s, err := New(c, Deps{Store: w.store, Now: func() time.Time { return w.now },
		Learn: func(context.Context, tocsin.ProjectID) ([]Use, error) { return w.before, nil },
		Write: func(_ context.Context, _ tocsin.ProjectID, n *record.Names) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.fail == nil {
				w.written = append(w.written, n)
			}
			return w.fail
		}})
	if err != nil {
		w.Fatal(err)
	}
	return s
}

func (w *world) take(s *Service, by Writer, uses ...Use) error {
	_, err := s.Take(w.Context(), news, by, uses)
	return err
}

func (w *world) view(s *Service) *View {
	w.Helper()
	v, err := s.View(w.Context(), news)
	if err != nil {
		w.Fatal(err)
	}
	return v
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func TestTheFirstWriterFixesTheType(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	w.must(w.take(s, crm, Use{Attribute, "plan", Text}, Use{TagSet, "plan", 0}, Use{Event, "open", 0}))
	var conflict *Conflict
	if err := w.take(s, app, Use{Attribute, "other", Text}, Use{Attribute, "plan", Number}); !errors.As(err, &conflict) ||
		conflict.Name != "plan" || conflict.Stands.Type != Text || conflict.Stands.By != crm || !conflict.Stands.First.Equal(noon) {
		t.Errorf("%+v", err)
	}
	again := w.process() // what was taken is durable
	if v := w.view(again); v.Find(Attribute, "plan").Type != Text || v.Find(TagSet, "plan") == nil || v.Find(Event, "open") == nil || v.Find(Attribute, "other") != nil {
		t.Errorf("%+v", v)
	}
	if v := w.view(s); !v.Allows(crm, s.Today(), Use{Attribute, "plan", Text}) || v.Allows(crm, s.Today(), Use{Attribute, "plan", Number}) ||
		v.Allows(app, s.Today(), Use{Attribute, "plan", Text}) {
		t.Error("Allows says otherwise")
	}
}

// Whatever processes write at once, and whatever the store loses, all agree on
// one type, and only those who wrote it were let pass.
func TestFirstWritersAgree(t *testing.T) {
	for round := range 50 {
		w := newWorld(t)
		w.store.lossy = round%2 == 0
		types := make([]Type, 4)
		var all sync.WaitGroup
		for i := range types {
			s, u := w.process(), Use{Attribute, "plan", Type(1 + rand.IntN(3))}
			all.Go(func() {
				switch err := w.take(s, crm, u); {
				case err == nil:
					types[i] = u.Type
				case !errors.As(err, new(*Conflict)):
					t.Error(err)
				}
			})
		}
		all.Wait()
		stands := w.view(w.process()).Find(Attribute, "plan").Type
		for _, taken := range types {
			if taken != 0 && taken != stands {
				t.Fatalf("round %d: %v were let pass, it is a %v", round, types, stands)
			}
		}
	}
}

func TestCeilings(t *testing.T) {
	w := newWorld(t)
	s := w.process(func(c *Config) { c.Attributes, c.TagSets = 2, 1 })
	w.must(w.take(s, crm, Use{Attribute, "a", Text}, Use{Attribute, "b", Number}, Use{TagSet, "a", 0}))
	var full *Full
	if err := w.take(s, crm, Use{Attribute, "c", Text}); !errors.As(err, &full) || full.Count != 2 || full.Most != 2 {
		t.Errorf("%v", err)
	}
	if err := w.take(s, crm, Use{TagSet, "b", 0}); !errors.As(err, &full) || full.Kind != TagSet || full.Count != 1 {
		t.Errorf("%v", err)
	}
	w.must(w.take(s, crm, Use{Attribute, "a", Text}))
	w.must(s.Delete(t.Context(), news, Attribute, "a"))
	w.must(w.take(s, crm, Use{Attribute, "c", Boolean}))
	if _, err := New(Config{Attributes: 501, TagSets: 1, Events: 1}, Deps{}); err == nil || !strings.Contains(err.Error(), "501 attributes") {
		t.Error(err)
	}
}

// A name that is on its way is nobody's: not until every shard has it.
func TestAChangeIsDoneOrFinishedLater(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	w.must(w.take(s, crm, Use{Attribute, "plan", Text}, Use{Attribute, "town", Text}, Use{TagSet, "likes", 0}))
	if err := s.Delete(t.Context(), news, Attribute, "nothing"); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
	if err := s.Rename(t.Context(), news, Attribute, "plan", "town"); !errors.Is(err, ErrTaken) {
		t.Error(err)
	}
	w.fail = errors.New("disk is full")
	if err := s.Rename(t.Context(), news, Attribute, "town", "city"); !errors.Is(err, w.fail) {
		t.Error(err)
	}
	for _, other := range []*Service{s, w.process()} {
		if v := w.view(other); v.Edition != 1 || v.Find(Attribute, "town") != nil || v.Find(Attribute, "city") != nil || v.Find(Attribute, "plan") == nil {
			t.Errorf("%+v", v)
		}
		if err := w.take(other, crm, Use{Attribute, "city", Number}); !errors.Is(err, w.fail) {
			t.Error(err)
		}
	}
	w.fail = nil
	after := w.process() // whoever comes next finishes it
	if e := w.view(after).Find(Attribute, "city"); e == nil || e.Type != Text || e.By != crm {
		t.Errorf("%+v", e)
	}
	w.must(after.Delete(t.Context(), news, TagSet, "likes"))
	w.must(w.take(after, crm, Use{Attribute, "town", Number}))
	if len(w.written) != 2 || w.written[0].From != "town" || w.written[0].To != "city" || w.written[0].Edition != 1 || !w.written[1].Tags || w.written[1].Edition != 2 {
		t.Errorf("%v", w.written)
	}
	// The first process hears of it.
	w.now = w.now.Add(Fresh)
	if v := w.view(s); v.Edition != 2 || v.Find(TagSet, "likes") != nil || v.Find(Attribute, "town").Type != Number {
		t.Errorf("%+v", v)
	}
}

// Two processes change names at once; each change is carried out, in order.
func TestChangesOfSeveralProcesses(t *testing.T) {
	w := newWorld(t)
	w.store.lossy = true
	s := w.process()
	for i := range 8 {
		w.must(w.take(s, crm, Use{Attribute, fmt.Sprint("n", i), Text}))
	}
	var all sync.WaitGroup
	for i := range 8 {
		one := w.process()
		all.Go(func() {
			if err := one.Rename(t.Context(), news, Attribute, fmt.Sprint("n", i), fmt.Sprint("m", i)); err != nil {
				t.Error(i, err)
			}
		})
	}
	all.Wait()
	v := w.view(w.process())
	if v.Edition != 8 || v.Count(Attribute) != 8 {
		t.Errorf("edition %d, %d names", v.Edition, v.Count(Attribute))
	}
	edition := uint64(0)
	for _, n := range w.written {
		if n.Edition > edition+1 {
			t.Errorf("edition %d is written behind %d", n.Edition, edition)
		}
		edition = max(edition, n.Edition)
	}
	for i := range 8 {
		if v.Find(Attribute, fmt.Sprint("m", i)) == nil {
			t.Errorf("m%d is missing", i)
		}
	}
}

func TestAnOlderBuildsNamesAreLearnt(t *testing.T) {
	w := newWorld(t)
	w.before = []Use{{Attribute, "age", Number}, {TagSet, "likes", 0}}
	for i := range 3 {
		w.before = append(w.before, Use{Attribute, fmt.Sprint("old", i), Text})
	}
	s := w.process(func(c *Config) { c.Attributes = 2 })
	v := w.view(s)
	if e := v.Find(Attribute, "age"); e == nil || e.Type != Number || !e.First.IsZero() || v.Find(TagSet, "likes") == nil || v.Count(Attribute) != 4 {
		t.Fatalf("%+v", v)
	}
	w.must(w.take(s, crm, Use{Attribute, "old1", Text})) // nothing is refused afterwards
	if err := w.take(s, crm, Use{Attribute, "age", Text}); !errors.As(err, new(*Conflict)) {
		t.Error(err)
	}
	var full *Full
	if err := w.take(s, crm, Use{Attribute, "new", Text}); !errors.As(err, &full) || full.Count != 4 {
		t.Error(err)
	}
}

// Who writes a name is noted once a day, and the row stays small.
func TestWritersAreNotedOnceADay(t *testing.T) {
	w := newWorld(t)
	s := w.process()
	u := Use{Attribute, "plan", Text}
	w.must(w.take(s, crm, u))
	w.must(w.take(s, app, u))
	puts := w.store.puts
	for range 10 {
		w.must(w.take(s, crm, u))
	}
	if w.store.puts != puts {
		t.Errorf("%d rows more for the same day", w.store.puts-puts)
	}
	w.now = noon.Add(24 * time.Hour)
	if w.view(s).Allows(crm, s.Today(), u) {
		t.Error("the next day is not noted")
	}
	w.must(w.take(s, crm, u))
	e := w.view(s).Find(Attribute, "plan")
	if e.Last.Time() != time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC) || len(e.Writers) != 2 || e.Writers[0].Last != e.Last || e.Writers[1].Last != e.Last-1 {
		t.Errorf("%+v", e)
	}
	key := func(n int) Writer {
		return Writer{Server, tocsin.MakeID[tocsin.KeyID](noon, [10]byte{9, byte(n >> 8), byte(n)}), strings.Repeat("é", 100)}
	}
	for n := range 20 {
		w.must(w.take(s, key(n), u))
	}
	if e = w.view(s).Find(Attribute, "plan"); len(e.Writers) != maxWriters || !w.view(s).Allows(key(19), s.Today(), u) {
		t.Errorf("%d writers, the last of many costs a look at the store: %v", len(e.Writers), e)
	}
	w.now = w.now.Add((forgotten + 1) * 24 * time.Hour)
	w.must(w.take(s, key(19), u))
	if e = w.view(s).Find(Attribute, "plan"); e.Writers[0].Writer != key(19) || e.By != crm {
		t.Errorf("who writes no more does not give way: %+v", e.Writers)
	}

	full := &row{}
	for k := range full.names {
		full.names[k] = map[string]*Entry{}
	}
	for k := Attribute; k < kinds; k++ {
		for n := range most().Of(k) {
			e := &Entry{Type: Location, First: noon, By: Writer{Via: Server, Key: key(1000 + n).Key}}
			for writer := range maxWriters {
				e.note(key((n+writer)%allWriters), DayOf(noon), true)
			}
			full.names[k][fmt.Sprintf("%064d", n)] = e
		}
	}
	data, err := full.marshal()
	if err != nil || len(data) > store.MaxValue {
		t.Errorf("the fullest row has %d bytes: %v", len(data), err)
	}
}

func TestADamagedRowIsRefused(t *testing.T) {
	for _, data := range []string{"", "{", `{"v":2}`, `{"v":1,"names":[null,{"a":{"t":99}},null,null]}`, `{"v":1,"names":[null,{"a":null},null,null]}`} {
		if _, err := unmarshal([]byte(data)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", data, err)
		}
	}
}
