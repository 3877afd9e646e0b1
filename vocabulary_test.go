package tocsin_test

import (
	"bytes"
	"encoding"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"pgregory.net/rapid"
)

func drawID(t *rapid.T, label string) (tocsin.SendID, time.Time) {
	at := time.UnixMilli(rapid.Int64Range(0, 1<<48-1).Draw(t, label+" ms"))
	var entropy [10]byte
	copy(entropy[:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, label+" entropy"))
	return tocsin.MakeID[tocsin.SendID](at, entropy), at
}

func TestIDsRoundTripAndSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, at := drawID(t, "a")
		b, _ := drawID(t, "b")
		if a.IsZero() || b.IsZero() { // means none, and has no text
			return
		}
		var back tocsin.SendID
		if err := back.UnmarshalText([]byte(a.String())); err != nil || back != a {
			t.Fatalf("%v came back as %v", a, back)
		}
		if !a.Time().Equal(at) {
			t.Fatalf("made at %v, says %v", at, a.Time())
		}
		if strings.Compare(a.String(), b.String()) != bytes.Compare(a[:], b[:]) {
			t.Fatalf("text and bytes of %v and %v sort differently", a, b)
		}
	})
}

func TestIDsRefuseWhatTheyAreNot(t *testing.T) {
	good := tocsin.MakeID[tocsin.SendID](time.UnixMilli(1), [10]byte{1}).String()
	for _, text := range []string{"snd_", good[:29], good + "0", "prj_" + good[4:], "snd_8" + good[5:],
		strings.ToUpper(good), "snd_" + strings.Repeat("u", 26), strings.Repeat("x", 1<<20)} {
		var id tocsin.SendID
		if err := id.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%.40q was read as %v", text, id)
		} else if len(err.Error()) > 200 {
			t.Errorf("an error of %d bytes repeats its input", len(err.Error()))
		}
	}
}

func roundTrip[E interface {
	~uint8
	encoding.TextMarshaler
}, P interface {
	*E
	encoding.TextUnmarshaler
}](t *testing.T, last E) {
	t.Helper()
	for e := E(0); e <= last; e++ {
		text, err := e.MarshalText()
		if err != nil || strings.HasPrefix(string(text), "unknown") {
			t.Fatalf("%T %d has no text: %q %v", e, e, text, err)
		}
		var back E
		if err := P(&back).UnmarshalText(text); err != nil || back != e {
			t.Errorf("%T %q came back as %d, %v", e, text, back, err)
		}
	}
	var e E
	if P(&e).UnmarshalText([]byte("no such thing")) == nil {
		t.Errorf("%T reads nonsense", e)
	}
	if text, _ := (last + 1).MarshalText(); !strings.HasPrefix(string(text), "unknown") {
		t.Errorf("%T has values beyond the last known one: %q; extend this test", e, text)
	}
}

func TestEnumsRoundTrip(t *testing.T) {
	roundTrip(t, tocsin.Development)
	roundTrip(t, tocsin.WebPush)
	roundTrip(t, tocsin.Synthetic)
	roundTrip(t, tocsin.Skip)
	roundTrip(t, tocsin.InDoubt)
	roundTrip(t, tocsin.ReasonMoved)
	if len(tocsin.Outcomes) != int(tocsin.InDoubt) || !slices.IsSorted(tocsin.Outcomes[:]) {
		t.Error("Outcomes does not list every outcome once")
	}
}

func TestShardOfIsStableAndEven(t *testing.T) {
	var project tocsin.ProjectID
	project[0] = 7
	// Audiences are stored by this hash: these values may never change.
	for profile, want := range map[string]tocsin.Shard{"u:alice": 59, "u:bob": 49, "s:x": 10, "": 6} {
		if got := tocsin.ShardOf(project, profile, 64); got != want {
			t.Errorf("%s moved from shard %d to %d", profile, want, got)
		}
	}
	const people, shards = 80_000, 8
	var counts [shards]int
	for i := range people {
		counts[tocsin.ShardOf(project, "u:"+time.Duration(i).String(), shards)]++
	}
	for shard, n := range counts {
		if n < people/shards*95/100 || n > people/shards*105/100 {
			t.Errorf("shard %d holds %d of %d people", shard, n, people)
		}
	}
}

// Eight shards are halves of the ranges of four: a range is contiguous.
func TestShardsAreRanges(t *testing.T) {
	var project tocsin.ProjectID
	for i := range 1000 {
		profile := time.Duration(i).String()
		if four, eight := tocsin.ShardOf(project, profile, 4), tocsin.ShardOf(project, profile, 8); eight/2 != four {
			t.Fatalf("%s is on %d of 4 and %d of 8", profile, four, eight)
		}
	}
}
