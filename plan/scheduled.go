package plan

import (
	"context"
	"fmt"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store"
)

// Scheduled calls each for the sends of a project that wait for their time on a
// shard, as far as they are saved: one accepted in the last seconds may be missing.
func Scheduled(ctx context.Context, s store.Store, shard tocsin.Shard, project tocsin.ProjectID, each func(*record.Send)) error {
	const page = 100 // rows of up to half a megabyte
	for from := waitingKey; ; {
		rows, err := s.Scan(ctx, Place(shard), from, waitingKey+"~", page)
		if err != nil {
			return err
		}
		for _, r := range rows {
			from = r.Key + "\x00"
			if len(r.Value) <= 8 {
				continue
			}
			e, err := record.Decode(r.Value[8:])
			if err != nil {
				return fmt.Errorf("plan: row %s: %w", r.Key, err)
			}
			if send := e.GetSend(); send != nil && tocsin.ProjectID(e.Project) == project {
				each(send)
			}
		}
		if len(rows) < page {
			return nil
		}
	}
}
