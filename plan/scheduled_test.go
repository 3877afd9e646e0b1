package plan

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store/mem"
)

// The sends of a project that wait are found among those of others, over as many
// pages as there are.
func TestScheduledSendsOfAProject(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	ours, others := tocsin.ProjectID{1}, tocsin.ProjectID{2}
	s, writer, saved := mem.New(time.Now), record.NewWriter(7), saver{}
	var want []string
	for n := range 250 {
		of := ours
		if n%3 == 0 {
			of = others
		}
		id := tocsin.MakeID[tocsin.SendID](at, [10]byte{byte(n)})
		e := writer.Next(&record.Envelope{Body: &record.Envelope_Send{Send: &record.Send{Send: id.Bytes(), Name: fmt.Sprint(n), Scheduled: true}}},
			at, record.Scope{Project: of})
		saved.keepSend(&waiting{id: id, position: uint64(n), changed: 1, envelope: e})
		if of == ours {
			want = append(want, fmt.Sprint(n))
		}
	}
	if err := s.Write(t.Context(), Place(2), saved.rows...); err != nil {
		t.Fatal(err)
	}
	var got []string
	if err := Scheduled(t.Context(), s, 2, ours, func(send *record.Send) { got = append(got, send.Name) }); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v, %v", got, want, err)
	}
}
