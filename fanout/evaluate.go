package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// evaluate asks the audience for the recipients of a slice. The machine asked
// when the mark was applied.
func (o *Owner) evaluate(ctx context.Context, e Evaluate) {
	scope := record.Of(e.Envelope)
	project := scope.Project
	credentials, ok := o.credentialsOf(ctx, scope)
	if !ok {
		return // ctx ended
	}
	o.lanes.weigh(ctx, project)
	whole, ok := o.withRecipients(ctx, e.Envelope)
	if !ok {
		return
	}
	s := whole.GetSlice()
	due := time.Unix(0, s.Due)
	var a audience.Audience
	if len(s.Query) == 0 {
		a, _ = o.audience.Explicit(project, s.Recipients, due, audience.CutOf(s))
		if len(s.Recipients) == 0 { // too late to learn who they were
			a.Unknown = uint64(audience.StoredOn(s.Stored, o.shard))
		}
	} else {
		q, err := audience.Query(s.Query, s.Segments)
		if err != nil { // the API had accepted it
			o.log.Error("a target cannot be read, its send goes to nobody here", "project", project.String(),
				"environment", scope.Environment.String(), "class", scope.Class.String(), "send", tocsin.SendID(s.Send).String(), "error", err)
			o.box.post(message{event: Evaluated{Slice: e.Position}})
			return
		}
		if a, err = o.matching(ctx, scope, q, s); ctx.Err() != nil {
			return
		} else if err != nil {
			o.log.Error("who got an earlier send cannot be read, the send goes to nobody here", "project", project.String(),
				"environment", scope.Environment.String(), "class", scope.Class.String(), "send", tocsin.SendID(s.Send).String(), "error", err)
		}
	}
	result := Evaluated{Slice: e.Position, Generation: a.Generation, Changes: a.Applied, Unknown: a.Unknown, Content: whole}
	for _, lot := range a.Lots {
		credential := lot.Vapid
		if credential.IsZero() {
			credential = credentials[lot.Provider]
		}
		route := &record.Route{Provider: uint32(lot.Provider), Credential: credential.Bytes(), Host: lot.Host, Topic: lot.Topic}
		result.Lots = appendLots(result.Lots, route, lot.Bucket, lot.Ordinals, o.config.Chunk)
	}
	o.box.post(message{event: result})
}

// readings is how often it is tried to read who got earlier sends: others wait.
const readings = 5

// matching evaluates a query, again when that fails.
func (o *Owner) matching(ctx context.Context, scope record.Scope, q *target.Query, s *record.Slice) (a audience.Audience, err error) {
	for range readings {
		if a, err = o.audience.Evaluate(ctx, scope.Project, q, time.Unix(0, s.Due), audience.CutOf(s)); err == nil || ctx.Err() != nil {
			return a, err
		}
		o.log.Warn("who got an earlier send could not be read, repeated", "project", scope.Project.String(),
			"environment", scope.Environment.String(), "class", scope.Class.String(), "error", err)
		pause(ctx, o.config.Retake)
	}
	return a, err
}

// credentialsOf finds the credential of each provider; it repeats until the
// answer is there or ctx ends.
func (o *Owner) credentialsOf(ctx context.Context, scope record.Scope) (map[tocsin.Provider]tocsin.CredentialID, bool) {
	for ctx.Err() == nil {
		ids, err := o.lanes.accounts.IDs(ctx, scope.Project)
		if err == nil {
			return ids, true
		}
		if ctx.Err() == nil {
			o.log.Warn("credentials could not be read, repeated", "project", scope.Project.String(),
				"environment", scope.Environment.String(), "class", scope.Class.String(), "error", err)
		}
		pause(ctx, o.config.Retake)
	}
	return nil, false
}

// withRecipients returns a slice with its recipients, also those that stand in
// the store. It repeats until they are there or ctx ends. Lists that are missing
// while they can still be sent to were lost: the shard waits for them, and the
// log says so. Once nothing may leave any more nobody is waited for.
func (o *Owner) withRecipients(ctx context.Context, e *record.Envelope) (*record.Envelope, bool) {
	s, scope := e.GetSlice(), record.Of(e)
	if s.GetStored() == nil || len(s.Recipients) > 0 {
		return e, true
	}
	log := o.log.With("project", scope.Project.String(), "environment", scope.Environment.String(), "class", scope.Class.String(), "send", tocsin.SendID(s.Send).String())
	for ctx.Err() == nil {
		list, err := audience.StoredExplicit(ctx, o.store, scope.Project, s.Stored, o.shard)
		switch {
		case err == nil:
			whole := proto.CloneOf(e) // others hold the record
			whole.GetSlice().Recipients = list
			return whole, true
		case ctx.Err() != nil:
		case !errors.Is(err, audience.ErrNotStored):
			log.Warn("recipients could not be read, repeated", "error", err)
		case time.Now().Before(expiryOf(s)):
			log.Error("recipients of a send are lost, its shard waits for them until the send expires", "error", err)
		default:
			log.Error("recipients of a send that has expired are not there any more", "error", err)
			return e, true
		}
		pause(ctx, o.config.Retake)
	}
	return nil, false
}

// appendLots adds a lot, in halves while its bitmap is larger than one record takes.
func appendLots(lots []*record.Lot, r *record.Route, bucket int, ordinals *roaring.Bitmap, most int) []*record.Lot {
	count := ordinals.GetCardinality()
	if ordinals.GetSerializedSizeInBytes() > uint64(most) && count > tocsin.PageSize {
		half := count / 2 / tocsin.PageSize * tocsin.PageSize
		if half == 0 {
			half = tocsin.PageSize
		}
		middle, _ := ordinals.Select(uint32(half))
		low, high := ordinals.Clone(), ordinals.Clone()
		low.RemoveRange(uint64(middle), 1<<32)
		high.RemoveRange(0, uint64(middle))
		return appendLots(appendLots(lots, r, bucket, low, most), r, bucket, high, most)
	}
	data, err := ordinals.ToBytes()
	if err != nil {
		panic(err) // a buffer in memory does not fail
	}
	return append(lots, &record.Lot{Route: r, Bucket: uint32(bucket), Ordinals: data, Count: uint32(count)})
}
