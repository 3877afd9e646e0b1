package ask

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Cost is about what a query costs, known before it is run.
type Cost struct {
	Setup time.Duration // to make it ready, during which a shard takes no changes
	Run   time.Duration // of processor time, all in all
}

// Cost asks the shards what a query will cost: Setup is that of the slowest. What
// takes longer than most to make ready is not looked at any closer. With explain it
// is that of Explain.
func (s Shards) Cost(ctx context.Context, project tocsin.ProjectID, t Target, explain bool, most time.Duration) (sum Cost, err error) {
	if t.Query == nil {
		return sum, nil
	}
	for _, shard := range s {
		c, err := shard.Cost(ctx, project, t.Query, t.At, explain, most)
		if err != nil {
			return sum, err
		}
		if sum.Setup = max(sum.Setup, c.Setup); sum.Setup > most {
			break
		}
		sum.Run += c.Run
	}
	return sum, nil
}
