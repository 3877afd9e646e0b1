package mem_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
	"github.com/tocsin-push/tocsin/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Engine {
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		clock := func() time.Time { return now }
		return storetest.Engine{Store: mem.New(clock), Now: clock, Advance: func(d time.Duration) { now = now.Add(d) }}
	})
}

// Versions of deleted rows are remembered for store.Keep, then forgotten.
func TestForgetsWhatIsLongDead(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := mem.New(func() time.Time { return now })
	at := store.Place{Table: "t"}
	write := func(w store.Write) {
		t.Helper()
		if err := s.Write(t.Context(), at, w); err != nil {
			t.Fatal(err)
		}
	}
	present := func() bool {
		_, err := s.Get(t.Context(), at, "row")
		return err == nil
	}
	write(store.Write{Key: "row", Version: 5, Delete: true})
	now = now.Add(store.Keep)
	for i := range 10 { // writes elsewhere pass the row by
		write(store.Write{Key: fmt.Sprint(i), Version: 1})
	}
	if write(store.Write{Key: "row", Version: 4}); present() {
		t.Fatal("the version of a deleted row was forgotten too early")
	}
	now = now.Add(time.Second)
	for i := range 10 {
		write(store.Write{Key: fmt.Sprint(i), Version: uint64(2)})
	}
	if write(store.Write{Key: "row", Version: 4}); !present() {
		t.Fatal("the version of a deleted row is remembered for ever")
	}
}
