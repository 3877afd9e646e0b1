package audience

import (
	"math/rand/v2"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// The parts add up to what a send would go to, and are in proportion.
func TestSpread(t *testing.T) {
	w := newWorld(t)
	if shares, err := w.shard.Spread(t.Context(), news, nil, nil, noon); shares != nil || err != nil {
		t.Fatalf("nobody is on %v", shares)
	}
	const people = 3000
	for n := range people {
		u := phone(n, with("country", []string{"FR", "DE"}[n%2]))
		if n%3 == 0 {
			u.GetUpsert().Provider, u.GetUpsert().Topic = uint32(tocsin.FCM), ""
		}
		w.apply(news, u)
	}
	w.apply(news, optIn(0, false))
	for text, want := range map[string]uint64{`{}`: people - 1, `{"country":"FR"}`: people/2 - 1, `{"country":"IT"}`: 0} {
		parts := map[tocsin.Provider]uint64{}
		shares, err := w.shard.Spread(t.Context(), news, query(t, text), nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range shares {
			parts[s.Route.Provider] += s.Pushes
		}
		if have := parts[tocsin.FCM] + parts[tocsin.APNs]; have != want {
			t.Errorf("%s: %v is not %d", text, parts, want)
		}
		if third := want / 3; parts[tocsin.FCM] < third-third/10 || parts[tocsin.FCM] > third+third/10 {
			t.Errorf("%s: %v, want a third on FCM", text, parts)
		}
	}
	shares, err := w.shard.Spread(t.Context(), news, nil, []*record.Recipient{{Subscription: subscription(1).Bytes()}, {Subscription: subscription(1).Bytes()},
		{Subscription: subscription(3).Bytes()}, {Subscription: subscription(people + 1).Bytes()}}, noon)
	if err != nil || len(shares) != 2 || shares[0].Pushes != 1 || shares[1].Pushes != 1 {
		t.Errorf("%v", shares)
	}
}

// Rows are gathered as a list and, once that is longer, as bits: the same rows
// come out.
func TestGatheredRows(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for _, rows := range []int{0, 1, 2, 63, 64, 65, 3000, 200_000} {
		for _, apart := range []int{1, 3, 64, 65, 1000} {
			want := roaring.New()
			for row := random.IntN(apart); int(want.GetCardinality()) < rows; row += 1 + random.IntN(apart) {
				want.Add(uint32(row))
			}
			var g gathered
			for it := want.Iterator(); it.HasNext(); {
				g.add(it.Next(), want.Maximum())
			}
			got := g.bitmap()
			if rows == 0 && got == nil {
				continue
			}
			if got == nil || !got.Equals(want) {
				t.Errorf("seed %d: %d rows, up to %d apart: others came out", seed, rows, apart)
			}
		}
	}
}
