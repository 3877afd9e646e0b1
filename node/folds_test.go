package node

import (
	"errors"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin/journal"
	journalmem "github.com/tocsin-push/tocsin/journal/mem"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/plan"
	"github.com/tocsin-push/tocsin/receipt"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

// A shard goes on from either snapshot of its ledger when the other one is
// damaged, and nothing is trimmed meanwhile.
func TestADamagedSnapshotIsPassedOver(t *testing.T) {
	places := map[string]store.Place{"plan": plan.Place(0), "receipt": receipt.Place(0)}
	for name, place := range places {
		s := mem.New(time.Now)
		fold := ledger.New()
		for _, at := range []uint64{10, 20} {
			fold.Advance(at)
			data, err := proto.Marshal(&record.PlanState{Next: at, Fold: fold.Marshal()}) // the state of receipt has the same first fields
			if err != nil {
				t.Fatal(err)
			}
			to := place
			if at == 10 { // the sound one is the older
				to = map[string]store.Place{"plan": places["receipt"], "receipt": places["plan"]}[name]
			}
			steps, _ := store.PutParts("ledger", at, data, store.Parts{})
			if err := store.Save(t.Context(), s, store.InSteps(to, steps...)); err != nil {
				t.Fatal(err)
			}
		}
		look := func() (newer, older *ledger.Fold, err error) {
			return folds(t.Context(), s, 0, slog.New(slog.DiscardHandler))
		}
		if newer, older, err := look(); err != nil || newer.Next() != 20 || older.Next() != 10 {
			t.Fatalf("%s: %v, %v, %v", name, newer, older, err)
		}
		damage := store.Write{Key: "ledger", Value: []byte("not a head"), Version: 1000}
		if err := s.Write(t.Context(), place, damage); err != nil {
			t.Fatal(err)
		}
		if newer, older, err := look(); err != nil || newer.Next() != 10 || older != nil {
			t.Fatalf("%s damaged: %v, %v, %v", name, newer, older, err)
		}
		for _, place := range places {
			if err := s.Write(t.Context(), place, damage); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := look(); err == nil {
			t.Fatal("both are damaged, and one was read")
		}
	}
}

func TestALogReachesWhatWasReadOfIt(t *testing.T) {
	j := journalmem.New()
	p := journal.Partition{Topic: journal.Ledger}
	if _, err := j.Append(t.Context(), p, []byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	end, err := j.End(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if err := reaches(t.Context(), j, p, uint64(end)); err != nil {
		t.Error(err)
	}
	if err := reaches(t.Context(), j, p, uint64(end)+1); !errors.Is(err, errApart) {
		t.Errorf("read beyond its end: %v", err)
	}
}
