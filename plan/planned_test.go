package plan

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

func TestPlannedSendsAreForgottenAfterTheirTime(t *testing.T) {
	w := begin(t, 1)
	w.send(4, query(1))
	w.pass(47 * time.Hour)
	w.start()
	w.send(5, query(1))
	w.want(len(w.slices[0]), 1)
	w.start()
	w.pass(2 * time.Hour)
	w.send(6, query(1))
	w.want(len(w.slices[0]), 2)
}

// made is a send to everybody whose identifier is of an instant.
func made(at time.Time, n uint64) *record.Send {
	var entropy [10]byte
	binary.BigEndian.PutUint64(entropy[:], n)
	s := query(1, 3)
	s.Send = tocsin.MakeID[tocsin.SendID](at, entropy).Bytes()
	return s
}

// A minute leaves memory and is read back for a late repeat.
func TestALateRepeatIsDropped(t *testing.T) {
	w := begin(t, 1)
	first := made(w.now, 0)
	w.send(1, first)
	for n := range uint64(1000) {
		w.now = w.now.Add(time.Second)
		w.send(n+2, made(w.now, n+1))
		w.pass(0)
	}
	if n := len(w.m.sends.planned.minutes); n > 6 {
		t.Errorf("%d minutes are in memory", n)
	}
	if w.m.sends.planned.minutes[minuteOf(tocsin.SendID(first.Send))] != nil {
		t.Fatal("the first minute still is in memory")
	}
	w.send(5000, first)
	w.want(len(w.slices[0]), 1001)
	last := w.now
	w.pass(time.Minute)
	w.start()
	w.send(5001, first)
	w.send(5002, made(last, 1000))
	w.send(5003, made(last, 1001)) // a new one
	w.want(len(w.slices[0]), 1002)
}

// A send is not decided on while it is not known what was planned, and none
// overtakes it: shards open sends in the order of their records.
func TestSendsKeepTheirOrder(t *testing.T) {
	w := begin(t, 1)
	w.fail = true
	w.send(1, made(noon.Add(-time.Hour), 1))
	w.send(2, made(noon, 2))
	w.want(len(w.m.sends.held), 2)
	w.pass(10 * time.Minute)
	sends, _ := w.m.Cursors()
	w.want(w.m.sends.durable(), 1)
	w.want(sends, 3)
	w.fail = false
	w.pass(time.Second)
	w.want(len(w.slices[0]), 2)
	for i, s := range w.slices[0] {
		w.want(s.Origin.Position, i+1)
	}
	w.pass(time.Minute)
	w.want(w.durable.Sends, 3)
}

// What a save writes follows what happened since the last, not what is
// remembered.
func TestASaveWritesWhatIsNew(t *testing.T) {
	w := begin(t, 1)
	position := uint64(0)
	second := func(sends int) (written int) {
		before := w.saved
		for range sends {
			position++
			w.send(position, made(w.now, position))
		}
		w.pass(2 * time.Second)
		return w.saved - before
	}
	early := second(100)
	for range 100 {
		second(100)
	}
	if late := second(100); late > early+50 || late > 100*16+200 {
		t.Errorf("100 sends write %d bytes, at first %d", late, early)
	}
}

// 1,250 sends are two seconds of 5,000 a second on one of 8 shards.
func BenchmarkSave(b *testing.B) {
	m := New(Default(1), 0, 1)
	now, n := noon, uint64(0)
	plan := func(sends int) (bytes int) {
		for range sends {
			n++
			m.sends.planned.add(now, tocsin.SendID(made(now, n).Send))
		}
		for _, batch := range m.sends.planned.save(now, m) {
			for _, w := range batch.Writes {
				bytes += len(w.Key) + len(w.Value)
			}
		}
		m.sends.planned.saved(now, false)
		now = now.Add(2 * time.Second)
		return bytes
	}
	for range 800 {
		plan(1250) // a million before
	}
	bytes := 0
	for b.Loop() {
		bytes += plan(1250)
	}
	b.ReportMetric(float64(bytes)/float64(b.N)/1250, "B/send")
}
