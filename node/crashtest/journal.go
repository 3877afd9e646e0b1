package crashtest

import (
	"context"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// Journal puts a failpoint before and after each append and trim.
func Journal(j journal.Journal) journal.Journal { return &journalPoints{j, Process} }

type journalPoints struct {
	journal.Journal
	points *Points
}

func (j *journalPoints) Append(ctx context.Context, p journal.Partition, data ...[]byte) (at []journal.Position, err error) {
	var kinds []string
	for _, d := range data {
		kinds = append(kinds, kindOf(d))
		if p.Topic == journal.Changes {
			kinds = append(kinds, movesOf(d)...)
		}
	}
	err = j.points.around("journal: "+string(p.Topic)+": append ", kinds, func() error {
		at, err = j.Journal.Append(ctx, p, data...)
		return err
	})
	return at, err
}

func (j *journalPoints) Trim(ctx context.Context, p journal.Partition, before journal.Position) error {
	return j.points.around("journal: "+string(p.Topic), []string{": trim"}, func() error { return j.Journal.Trim(ctx, p, before) })
}

// movesOf names the steps of people from shard to shard that a record holds.
func movesOf(data []byte) (steps []string) {
	e, err := record.Decode(data)
	if err != nil {
		return []string{"unreadable"}
	}
	for _, c := range e.GetChanges().GetChanges() {
		switch c.GetChange().(type) {
		case *record.Change_Move:
			steps = append(steps, "move")
		case *record.Change_Arrive:
			steps = append(steps, "arrive")
		case *record.Change_Leave:
			steps = append(steps, "leave")
		}
	}
	return steps
}

// kindOf reads the second field of an envelope without the rest.
func kindOf(data []byte) string {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			break
		}
		data = data[n:]
		if number == 2 && kind == protowire.BytesType {
			text, _ := protowire.ConsumeString(data)
			return text
		}
		if n = protowire.ConsumeFieldValue(number, kind, data); n < 0 {
			break
		}
		data = data[n:]
	}
	return "unreadable"
}
