package trial

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/api"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

const journalLedger = journal.Ledger

// person is somebody with one subscription.
type person struct {
	number     int
	key        string // of the profile
	shard      tocsin.Shard
	id         tocsin.SubscriptionID
	provider   tocsin.Provider
	addresses  int       // how many it has had
	registered time.Time // acknowledged; zero not yet
	blocking   bool      // an opt-out or a deletion was begun
	blocked    time.Time // acknowledged
	blockedAt  uint64    // position in changes
	dead       bool      // an address of it was called dead
	moved      bool      // its old address died, and it registers again
	again      bool      // that was acknowledged

	named     bool      // by a request to few, which finds people by their key
	moving    bool      // a request that may move it is not answered
	movedFrom time.Time // when the last of those was made; zero: none
	movedTo   time.Time // and answered
	optedOut  bool      // acknowledged
	unsure    bool      // one of those has no answer and may take effect at any time: whose it is, and where, is not known
	borrowed  []byte    // the address of another
}

func (x *person) address() []byte {
	if x.borrowed != nil {
		return x.borrowed
	}
	return binary.BigEndian.AppendUint16(append(make([]byte, 0, len(x.id)+2), x.id[:]...), uint16(x.addresses))
}

// personOf reads the number out of an identifier.
func personOf(id tocsin.SubscriptionID) int { return int(binary.BigEndian.Uint32(id[12:])) }

func (w *World) person(project tocsin.ProjectID, number int) *person {
	return w.project(project).people[number]
}

// newPerson is the one of a number in a project; one in three has Android.
func newPerson(p *project, number, shards int) person {
	x := person{number: number, key: "u:" + strconv.Itoa(number), provider: tocsin.APNs}
	x.shard = tocsin.ShardOf(p.id, x.key, shards)
	if number*7%3 == 2 {
		x.provider = tocsin.FCM
	}
	x.id[0], x.id[1] = byte(p.number+1), 0x5b
	binary.BigEndian.PutUint32(x.id[12:], uint32(x.number))
	return x
}

func (p *project) scope() record.Scope {
	return record.Scope{Project: p.id, Environment: tocsin.Development, Class: tocsin.Normal}
}

func (x *person) upsert(at time.Time) *record.Change {
	u := &record.Upsert{Subscription: x.id.Bytes(), Profile: x.key, Provider: uint32(x.provider), Address: x.address(), Active: at.UnixNano()}
	if x.provider == tocsin.APNs {
		u.Topic = "app"
	}
	return &record.Change{Change: &record.Change_Upsert{Upsert: u}}
}

// write repeats an append through whatever process lives until it is durable,
// as a client does that repeats its request.
func (w *World) write(l *log, scope record.Scope, body func() *record.Envelope, done func()) {
	answered := false
	var try func()
	try = func() {
		if answered {
			return
		}
		w.after(600*time.Millisecond, "client repeats", try)
		p := w.processes[w.random.IntN(len(w.processes))]
		if p.incarnation == 0 {
			return
		}
		e := record.NewWriter(w.newID()).Next(body(), p.wall(), scope)
		p.after(w.between(0, 5*time.Millisecond), "request", func() {
			p.append(l, []*record.Envelope{e}, func(ok bool) {
				if ok && !answered {
					answered = true
					done()
				}
			})
		})
	}
	try()
}

func (w *World) change(p *project, x *person, c *record.Change, done func()) {
	w.write(w.log(journal.Changes, x.shard), p.scope(), func() *record.Envelope {
		return &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: []*record.Change{c}}}}
	}, done)
}

// request is one send as a client sees it.
type request struct {
	number   int
	key      string
	project  *project
	explicit []*person
	apart    bool // they stand in the store, not in the record
	skip     bool
	ttl      time.Duration
	delay    time.Duration // of a scheduled send
	body     [32]byte
	shards   []tocsin.Shard // that can hold a recipient

	id        tocsin.SendID
	asked     time.Time // the request whose answer was the first
	due       time.Time
	answered  bool
	cancel    bool
	cancelled time.Time // acknowledged
	steers    []steering
}

// ask makes a request until it is answered.
func (r *request) ask(w *World) {
	w.after(700*time.Millisecond, "client repeats", func() {
		if !r.answered {
			r.ask(w)
		}
	})
	w.accept(r, r.body, func(reply api.Reply) {
		if reply.Refusal == api.Mismatch {
			w.broken("L5", "%s: a mismatch for its own body", r.key)
		}
		if reply.Refusal != 0 {
			return
		}
		if r.answered && reply.Send != r.id {
			w.broken("L5", "%s has two sends", r.key)
		}
		if reply.Repeat {
			w.reach(keyRepeated)
		}
		r.id = reply.Send
		if !r.answered {
			r.answered = true
		}
	})
}

// askOther makes a request with the same key and another body.
func (r *request) askOther(w *World) {
	if !r.answered {
		return // either body could be the first
	}
	other := r.body
	other[0]++
	w.accept(r, other, func(reply api.Reply) {
		switch reply.Refusal {
		case 0:
			w.broken("L5", "%s was accepted with another body", r.key)
		case api.Mismatch:
			w.reach(keyMismatch)
		}
	})
}

// accept plays the API's shell for one request.
func (w *World) accept(r *request, body [32]byte, reply func(api.Reply)) {
	p := w.processes[w.random.IntN(len(w.processes))]
	if p.incarnation == 0 {
		return
	}
	id := tocsin.MakeID[tocsin.SendID](p.wall(), [10]byte{9: byte(w.newID()), 8: byte(w.lastID >> 8)})
	a := api.NewAccept(true, body, id)
	place, ctx := store.Place{Table: "idempotency", Partition: r.project.id.String()}, context.Background()
	var before, mark []uint64
	var step func(api.AcceptEvent)
	step = func(e api.AcceptEvent) {
		switch e := a.Step(p.wall(), e).(type) {
		case api.PutRow:
			fault := w.engineFault(storeLost, storeUnanswered)
			done := api.PutDone{Ambiguous: fault != 0}
			if fault != 0 {
				done.Failed = api.Unavailable
			}
			w.after(w.between(0, 4*time.Millisecond), "put", func() {
				if fault == storeLost {
					return
				}
				ok, row, err := w.store.PutIf(ctx, place, r.key, e.Old, e.Value, e.Expires)
				if err != nil {
					panic(err)
				}
				if fault == 0 {
					done.OK, done.Row = ok, row.Value
				}
			})
			p.after(w.between(4*time.Millisecond, 8*time.Millisecond), "put done", func() { step(done) })
		case api.ReadRow:
			p.after(w.between(0, 4*time.Millisecond), "row read", func() {
				row, err := w.store.GetLatest(ctx, place, r.key)
				if err != nil {
					row.Value = nil
				}
				step(api.ReadDone{Row: row.Value})
			})
		case api.FindSend:
			p.after(w.between(0, 30*time.Millisecond), "send found", func() { step(api.SendFound{Found: w.listed(r, e.Send)}) })
		case api.TakeMark:
			p.after(w.between(0, 4*time.Millisecond), "mark", func() {
				before = w.ends()
				p.after(w.between(0, time.Millisecond), "second mark", func() {
					mark = w.ends()
					step(api.MarkTaken{})
				})
			})
		case api.AppendSend:
			body := r.record(e, before, mark)
			done := func(ok bool) {
				if ok {
					step(api.AppendDone{})
				} else {
					step(api.AppendDone{Failed: api.Unavailable})
				}
			}
			send := func() {
				sent := record.NewWriter(w.newID()).Next(&record.Envelope{Body: &record.Envelope_Send{Send: body}}, e.Accepted, r.project.scope())
				p.append(w.log(journal.Sends, r.shard(w, e.Send)), []*record.Envelope{sent}, done)
			}
			if !r.apart {
				send()
				break
			}
			lists := map[tocsin.Shard][]*record.Recipient{}
			for i, x := range body.Recipients {
				lists[r.explicit[i].shard] = append(lists[r.explicit[i].shard], x)
			}
			var rows []store.Batch
			body.Stored, rows = audience.StoreExplicit(r.project.id, id.Bytes(), lists, w.options.Shards, time.Unix(0, body.Due).Add(r.ttl))
			body.Recipients = nil
			p.write(rows, func(ok bool) {
				if ok {
					send()
				} else {
					done(false)
				}
			})
		case api.Reply:
			reply(e)
		}
	}
	p.after(w.between(0, 5*time.Millisecond), "request", func() { step(api.Arrived{}) })
}

// listed reports whether a send is in its log.
func (w *World) listed(r *request, id tocsin.SendID) bool {
	l := w.log(journal.Sends, r.shard(w, id))
	for next := journal.Position(0); ; {
		read, after, err := w.journal.Read(context.Background(), l.key, next, 1<<20)
		if err != nil {
			panic(err)
		}
		for _, found := range read {
			e, err := record.Decode(found.Data)
			if err != nil {
				panic(err)
			}
			if s := e.GetSend(); s != nil && tocsin.SendID(s.Send) == id {
				return true
			}
		}
		if next = after; len(read) == 0 {
			return false
		}
	}
}

func (r *request) shard(w *World, id tocsin.SendID) tocsin.Shard {
	return tocsin.ShardOf(r.project.id, id.String(), w.options.Shards)
}

func (r *request) record(e api.AppendSend, before, mark []uint64) *record.Send {
	options := &record.Options{Class: uint32(tocsin.Normal), OnDoubt: uint32(tocsin.Resend), Ttl: int64(r.ttl), Attempts: attempts}
	if r.skip {
		options.OnDoubt = uint32(tocsin.Skip)
	}
	s := &record.Send{Send: e.Send.Bytes(), Name: r.key, Accepted: e.Accepted.UnixNano(), Due: e.Accepted.Add(r.delay).UnixNano(), Options: options}
	if r.delay > 0 {
		s.Scheduled = true
	} else {
		s.Before, s.Mark = before, mark
	}
	if r.explicit == nil {
		s.Query = []byte(`{}`)
	}
	for _, x := range r.explicit {
		s.Recipients = append(s.Recipients, &record.Recipient{Profile: x.key})
	}
	return s
}

// attempts is the limit of every send, of those whose answer is lost.
const attempts = 4

// stop cancels a send, once it has been acknowledged.
func (r *request) stop(w *World) {
	if !r.answered {
		w.after(300*time.Millisecond, "cancel", func() { r.stop(w) })
		return
	}
	logs := []*log{w.log(journal.Sends, r.shard(w, r.id))}
	for shard := range w.options.Shards {
		logs = append(logs, w.log(journal.Ledger, tocsin.Shard(shard)))
	}
	r.cancel = true
	left := len(logs)
	for _, l := range logs {
		w.write(l, r.project.scope(), func() *record.Envelope {
			return &record.Envelope{Body: &record.Envelope_Cancel{Cancel: &record.Cancel{Send: r.id.Bytes()}}}
		}, func() {
			if left--; left == 0 {
				r.cancelled = w.now
				w.reach(cancelled)
			}
		})
	}
}

// newRequest draws a send; the first three are the large ones.
func (w *World) newRequest(n int) *request {
	p := w.projects[n%len(w.projects)]
	r := &request{number: n, key: fmt.Sprintf("key-%d", n), project: p, ttl: time.Hour, skip: w.chance(3)}
	r.body = sha256.Sum256([]byte(r.key))
	if w.chance(4) {
		r.delay = w.between(time.Second, 4*time.Second)
	}
	if w.chance(3) {
		r.ttl = w.between(2*time.Second, 6*time.Second)
	}
	switch {
	case n >= 3: // a small one, whose open and claim may be one record
		for range 1 + w.random.IntN(4) {
			r.explicit = append(r.explicit, p.people[w.random.IntN(w.options.Recipients)])
		}
		for _, x := range r.explicit {
			x.named = true
		}
		r.delay = 0
	case w.chance(4):
		r.explicit = append(r.explicit, p.people[:w.options.Recipients]...)
		for _, x := range r.explicit {
			x.named = true
		}
		r.apart = w.chance(2)
	}
	for i := range w.options.Shards {
		if r.explicit == nil || slices.ContainsFunc(r.explicit, func(x *person) bool { return int(x.shard) == i }) {
			r.shards = append(r.shards, tocsin.Shard(i))
		}
	}
	return r
}

// launch lets somebody register, and the send be asked for once that was
// acknowledged: none of them may be missed.
func (r *request) launch(w *World) {
	if r.explicit != nil {
		r.first(w)
		return
	}
	newcomer := newPerson(r.project, len(r.project.people), w.options.Shards)
	x := &newcomer
	r.project.people = append(r.project.people, x)
	w.change(r.project, x, x.upsert(w.now), func() {
		x.registered = w.now
		r.first(w)
	})
}

func (r *request) first(w *World) {
	if w.restless && r.explicit == nil { // some move just as the send takes its mark
		for range 20 {
			w.after(w.between(0, 40*time.Millisecond), "somebody", func() { w.somebody(identifies) })
		}
		w.after(20*time.Millisecond, "asked", func() { r.begin(w) })
		return
	}
	r.begin(w)
}

func (r *request) begin(w *World) {
	r.asked = w.now
	r.ask(w)
	if w.chance(3) {
		w.after(w.between(0, 20*time.Millisecond), "same key", func() { r.ask(w) })
	}
	if w.chance(3) {
		w.after(w.between(0, 2*time.Second), "other body", func() { r.askOther(w) })
	}
}

func (w *World) number(id tocsin.SendID) int {
	for _, r := range w.sends {
		if r.id == id {
			return r.number
		}
	}
	// Not answered yet: the log knows whose it is.
	n := w.truth.sends[id]
	return n - 1
}
