package fanout

import (
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

// evaluate asks the audience for the recipients of a slice. The machine asked
// when the mark was applied.
func (o *Owner) evaluate(ctx context.Context, e Evaluate) {
	s, scope := e.Envelope.GetSlice(), record.Of(e.Envelope)
	project := scope.Project
	credentials, ok := o.credentialsOf(ctx, scope)
	if !ok {
		return // ctx ended
	}
	o.lanes.weigh(ctx, project)
	due := time.Unix(0, s.Due)
	var a audience.Audience
	if len(s.Recipients) > 0 {
		a, _ = o.audience.Explicit(project, s.Recipients, due)
	} else {
		q, err := target.Parse(target.Default(), s.Query)
		if err != nil { // the API had accepted it
			o.log.Error("a target cannot be read, its send goes to nobody here", "project", project.String(),
				"environment", scope.Environment.String(), "class", scope.Class.String(), "send", tocsin.SendID(s.Send).String(), "error", err)
			o.box.post(message{event: Evaluated{Slice: e.Position}})
			return
		}
		a = o.audience.Evaluate(project, q, due)
	}
	result := Evaluated{Slice: e.Position, Generation: a.Generation, Changes: a.Applied, Unknown: a.Unknown}
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
