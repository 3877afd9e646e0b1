package fanout

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/store"
	"github.com/tocsin-push/tocsin/store/mem"
)

// A row comes back as it was written, and is written by one process at a time.
func TestQuotaRowsAreWrittenWhereTheyAreAsTheyWere(t *testing.T) {
	q := &Quotas{Store: mem.New(time.Now), Process: "one"}
	first := pace.Row{Edition: 1, Shares: []pace.Share{{Process: "one", Serial: 3, Part: 5, Quota: 600, Want: [5]int{0, 1, 2, 3, 4}, Level: 0.5}},
		Slow: pace.Slow{Serial: 2, Left: time.Second, Wait: time.Minute, Allowed: 7}}
	a := q.consult(t.Context(), pace.Consult{Subject: "fcm/a", New: &first}).Told
	if !a.Wrote {
		t.Fatalf("%+v", a)
	}
	second := pace.Row{Edition: 2}
	if late := q.consult(t.Context(), pace.Consult{Subject: "fcm/a", New: &second}); late.Wrote || late.Failed || late.Row.Edition != 1 {
		t.Fatalf("%+v", late)
	}
	read := q.consult(t.Context(), pace.Consult{Subject: "fcm/a"})
	first.Raw = read.Row.Raw
	if !reflect.DeepEqual(read.Row, first) {
		t.Fatalf("%+v", read.Row)
	}
	if b := q.consult(t.Context(), pace.Consult{Subject: "fcm/a", Old: read.Row, New: &second}); !b.Wrote || b.Row.Edition != 2 {
		t.Fatalf("%+v", b)
	}
}

// A subject may be longer than the name of a partition.
func TestALongSubjectHasARowOfItsOwn(t *testing.T) {
	q := &Quotas{Store: mem.New(time.Now), Process: "one"}
	short, long := strings.Repeat("x", store.MaxPartition), strings.Repeat("x", store.MaxPartition+1)
	for part, subject := range []string{short, long, long + "a"} {
		row := pace.Row{Edition: 1, Shares: []pace.Share{{Process: "one", Part: part}}}
		if told := q.consult(t.Context(), pace.Consult{Subject: subject, New: &row}); told.err != nil || !told.Wrote {
			t.Fatalf("%+v", told)
		}
	}
	for part, subject := range []string{short, long, long + "a"} {
		if told := q.consult(t.Context(), pace.Consult{Subject: subject}); told.err != nil || told.Row.Shares[0].Part != part {
			t.Errorf("%+v", told)
		}
	}
}
