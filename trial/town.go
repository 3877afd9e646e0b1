package trial

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
)

// Town is what every history begins with: two projects and their people, whose
// registrations went to bytes and back once.
type Town struct {
	options  Options
	projects []settlers
}

type settlers struct {
	people []person
	bytes  [][]byte // by shard: one record of changes
	record []*record.Envelope
}

// Found makes the town of histories of a size.
func Found(o Options) *Town {
	t := &Town{options: o}
	for n := range 2 {
		p, s := newProject(n), settlers{}
		changes := make([]*record.Changes, o.Shards)
		for i := range changes {
			changes[i] = &record.Changes{}
		}
		for number := range o.Recipients {
			x := newPerson(p, number, o.Shards)
			x.registered = dawn
			// Some were last seen long ago: they are in another bucket.
			c := changes[x.shard]
			c.Changes = append(c.Changes, x.upsert(dawn.Add(-time.Duration(number%2)*48*time.Hour)))
			s.people = append(s.people, x)
		}
		for shard, c := range changes {
			writer := record.NewWriter(uint64(n*o.Shards + shard + 1))
			data := record.Encode(writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: c}}, dawn, p.scope()))
			e, err := record.Decode(data)
			if err != nil {
				panic(err)
			}
			s.bytes, s.record = append(s.bytes, data), append(s.record, e)
		}
		t.projects = append(t.projects, s)
	}
	return t
}

// settle brings the people of the town into a history.
func (t *Town) settle(w *World) {
	for n, s := range t.projects {
		people := append([]person(nil), s.people...)
		for i := range people {
			w.projects[n].people = append(w.projects[n].people, &people[i])
		}
		for shard, data := range s.bytes {
			w.keep(w.log(journal.Changes, tocsin.Shard(shard)), data, s.record[shard])
		}
	}
}
