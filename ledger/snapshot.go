package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// ErrSnapshot: the bytes are not a snapshot that this build can read.
var ErrSnapshot = errors.New("ledger: damaged or unknown snapshot")

const snapshotVersion = 3

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Marshal is the fold at its position. Equal folds give equal bytes. It grows
// with the audiences of open sends and may exceed what one row of a store holds.
func (f *Fold) Marshal() []byte {
	w := &packer{data: []byte{snapshotVersion}}
	w.numbers(f.next, uint64(f.clock), uint64(f.awake), f.term, f.seq, f.incarnation, f.slice)
	w.number(uint64(len(f.seen)))
	for _, writer := range slices.Sorted(maps.Keys(f.seen)) {
		w.numbers(writer, f.seen[writer])
	}
	w.number(uint64(len(f.opened)))
	for _, shard := range slices.Sorted(maps.Keys(f.opened)) {
		w.numbers(uint64(shard), f.opened[shard])
	}
	w.number(uint64(len(f.tombs.byID)))
	for _, t := range f.tombs.order {
		if f.tombs.byID[t.id] == t {
			w.raw(t.id[:])
			w.numbers(uint64(t.at), bit(t.closed), bit(t.cancelled))
			w.steering(t.steering)
		}
	}
	w.number(uint64(len(f.sends)))
	for _, s := range f.sends {
		w.send(s)
		w.pages(s)
	}
	w.number(uint64(len(f.claims)))
	for _, c := range f.Claims() {
		w.raw(c.Send.ID[:])
		w.numbers(c.Seq, c.Position, uint64(c.At), uint64(c.Page), uint64(c.From), uint64(c.To), uint64(c.Attempt), c.Changes)
	}
	w.number(bit(f.partial != nil))
	if f.partial != nil {
		w.send(f.partial.send)
		w.numbers(uint64(f.partial.chunk), uint64(f.partial.chunks))
	}
	return binary.BigEndian.AppendUint32(w.data, crc32.Checksum(w.data, castagnoli))
}

// Unmarshal reads a snapshot. The fold keeps parts of data, which must not change.
func Unmarshal(data []byte) (*Fold, error) {
	body := len(data) - 4
	if body < 1 || data[0] != snapshotVersion || crc32.Checksum(data[:body], castagnoli) != binary.BigEndian.Uint32(data[body:]) {
		return nil, ErrSnapshot
	}
	r := &unpacker{data: data[1:body:body]}
	f := New()
	f.next, f.clock, f.awake, f.term, f.seq, f.incarnation, f.slice = r.number(), int64(r.number()), int64(r.number()), r.number(), r.number(), r.number(), r.number()
	for range r.count() {
		writer := r.number()
		f.seen[writer] = r.number()
	}
	for range r.count() {
		shard := uint32(r.number())
		f.opened[shard] = r.number()
	}
	for range r.count() {
		f.tombs.add(&tomb{id: r.id(), at: int64(r.number()), closed: r.bit(), cancelled: r.bit(), steering: r.steering()})
	}
	for range r.count() {
		s := r.send()
		s.cut()
		r.pages(s)
		f.sends = append(f.sends, s)
		f.byID[s.ID] = s
	}
	for range r.count() {
		s := f.byID[r.id()]
		c := &Claim{Term: f.term, Send: s, Seq: r.number(), Position: r.number(), At: int64(r.number()), Page: r.int()}
		c.From, c.To, c.Attempt, c.Changes = r.int(), r.int(), r.int(), r.number()
		if s == nil || c.Page >= len(s.pages) || c.From >= c.To || c.To > s.pages[c.Page].size {
			r.fail(errors.New("a claim on no range"))
			break
		}
		f.claims[c.Seq] = c
		f.held += c.To - c.From
	}
	if r.bit() {
		f.partial = &partial{send: r.send(), chunk: uint32(r.number()), chunks: uint32(r.number())}
	}
	if r.err == nil && len(r.data) > 0 {
		r.fail(errors.New("bytes left over"))
	}
	if r.err != nil {
		return nil, fmt.Errorf("%w: %v", ErrSnapshot, r.err)
	}
	return f, nil
}

func bit(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func nanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

type packer struct{ data []byte }

func (w *packer) number(n uint64) { w.data = binary.AppendUvarint(w.data, n) }
func (w *packer) raw(b []byte)    { w.data = append(w.data, b...) }

func (w *packer) numbers(all ...uint64) {
	for _, n := range all {
		w.number(n)
	}
}

func (w *packer) bytes(b []byte) {
	w.number(uint64(len(b)))
	w.raw(b)
}

func (w *packer) send(s *Send) {
	w.raw(s.ID[:])
	w.raw(s.Scope.Project[:])
	w.numbers(uint64(s.Scope.Environment), uint64(s.Scope.Class), s.Slice, s.Opened, s.Term, s.Generation, s.Changes, nanos(s.Due), nanos(s.Expiry),
		uint64(s.OnDoubt), uint64(s.Attempts), s.Unknown, bit(s.Cancelled), uint64(s.pausedAt), uint64(s.pausedFor))
	w.steering(s.Steering)
	w.number(bit(s.origin != nil))
	if s.origin != nil {
		w.numbers(uint64(s.origin.Shard), s.origin.Position)
	}
	w.number(uint64(len(s.lots)))
	for _, lot := range s.lots {
		w.raw(lot.Credential[:])
		w.numbers(uint64(lot.Provider), uint64(lot.Bucket), uint64(lot.Count))
		w.bytes([]byte(lot.Host))
		w.bytes([]byte(lot.Topic))
		w.bytes(lot.data)
	}
}

func (w *packer) steering(s Steering) { w.numbers(s.Version, uint64(s.PerMinute), bit(s.Paused)) }

func (w *packer) pages(s *Send) {
	for _, p := range s.pages {
		for span, push := range p.Runs(Span{0, p.size}) {
			w.numbers(uint64(span.To-span.From), uint64(push))
		}
	}
}

type unpacker struct {
	data []byte
	err  error
}

func (r *unpacker) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

func (r *unpacker) number() uint64 {
	n, size := binary.Uvarint(r.data)
	if size <= 0 {
		r.fail(errors.New("cut short"))
		return 0
	}
	r.data = r.data[size:]
	return n
}

func (r *unpacker) raw(n uint64) []byte {
	if n > uint64(len(r.data)) {
		r.fail(errors.New("cut short"))
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *unpacker) int() int          { return int(uint32(r.number())) }
func (r *unpacker) bit() bool         { return r.number() == 1 }
func (r *unpacker) bytes() []byte     { return r.raw(r.number()) }
func (r *unpacker) id() tocsin.SendID { return tocsin.SendID(fixed(r.raw(16))) }
func (r *unpacker) time() time.Time   { return instant(int64(r.number())) }

func (r *unpacker) steering() Steering {
	return Steering{r.number(), r.int(), r.bit()}
}

// count reads a number of things, each of at least one byte.
func (r *unpacker) count() int {
	n := r.number()
	if n > uint64(len(r.data)) {
		r.fail(errors.New("a count beyond the data"))
		return 0
	}
	return int(n)
}

func (r *unpacker) send() *Send {
	s := &Send{ID: r.id()}
	s.Scope.Project = tocsin.ProjectID(fixed(r.raw(16)))
	s.Scope.Environment, s.Scope.Class = tocsin.Environment(r.number()), tocsin.Class(r.number())
	s.Slice, s.Opened, s.Term, s.Generation, s.Changes = r.number(), r.number(), r.number(), r.number(), r.number()
	s.Due, s.Expiry = r.time(), r.time()
	s.OnDoubt, s.Attempts, s.Unknown, s.Cancelled = tocsin.OnDoubt(r.number()), r.int(), r.number(), r.bit()
	s.pausedAt, s.pausedFor, s.Steering = int64(r.number()), int64(r.number()), r.steering()
	if r.bit() {
		s.origin = &record.Origin{Shard: uint32(r.number()), Position: r.number()}
	}
	for range r.count() {
		lot := &Lot{Credential: tocsin.CredentialID(fixed(r.raw(16)))}
		lot.Provider, lot.Bucket, lot.Count = tocsin.Provider(r.number()), r.int(), r.int()
		lot.Host, lot.Topic, lot.data = string(r.bytes()), string(r.bytes()), r.bytes()
		if r.err != nil {
			break
		}
		if err := lot.load(); err != nil {
			r.fail(err)
			break
		}
		s.lots = append(s.lots, lot)
	}
	return s
}

// pages reads the state of the pushes, and counts them anew.
func (r *unpacker) pages(s *Send) {
	s.states[Unclaimed] = 0
	for _, p := range s.pages {
		p.runs = nil
		for at := 0; at < p.size; {
			n, push := r.int(), Push(r.number())
			if n == 0 || n > p.size-at || int(push.State()) >= states {
				r.fail(errors.New("runs beyond their page"))
				return
			}
			at += n
			p.runs = append(p.runs, run{at, push})
			s.states[Unclaimed] += n // count moves them from there
			s.count(p, fresh, push, n)
		}
	}
}
