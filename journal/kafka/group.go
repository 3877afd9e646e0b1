package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

const (
	// session is how long a process may be silent until its shards go to others:
	// the least that Kafka allows by itself.
	session = 6 * time.Second
	// handover is how long a run may take to return when its shard is to go to
	// another process; after that the group does not wait.
	handover = 10 * time.Second
)

var _ journal.Group = (*Journal)(nil)

// Share is a consumer group on the topic of the ledger, which fetches nothing: a
// shard is a partition of it. A process that stops hands its shards on when its
// runs have returned; one that is killed, or cut off, loses them after session.
func (j *Journal) Share(ctx context.Context, group string, run func(ctx context.Context, shard tocsin.Shard) error) error {
	options, err := j.config.connect()
	if err != nil {
		return err
	}
	log := j.config.Log.With("group", group)
	runs := journal.NewRuns(ctx, run)
	var mu sync.Mutex // held to begin and to stop runs
	left := false
	stop := func(partitions map[string][]int32) (all []<-chan struct{}) {
		mu.Lock()
		defer mu.Unlock()
		for _, ids := range partitions {
			for _, id := range ids {
				if done := runs.Stop(tocsin.Shard(id)); done != nil {
					all = append(all, done)
				}
			}
		}
		return all
	}
	ledger := j.config.topic(journal.Ledger)
	client, err := kgo.NewClient(append(options,
		kgo.ConsumerGroup(j.config.Prefix+group), kgo.ConsumeTopics(ledger), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(session), kgo.HeartbeatInterval(session/6), kgo.RebalanceTimeout(handover), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			mu.Lock()
			defer mu.Unlock()
			for _, id := range partitions[ledger] {
				if !left {
					runs.Begin(tocsin.Shard(id))
				}
			}
		}),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			enough := time.After(handover)
			for _, done := range stop(partitions) {
				select {
				case <-done:
				case <-enough:
					log.Warn("a shard was handed over while its work had not ended", "after", handover)
					return
				}
			}
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, partitions map[string][]int32) {
			if lost := stop(partitions); len(lost) > 0 {
				log.Warn("shards were taken from this process, which the group had not heard of for a while", "shards", len(lost))
			}
		}))...)
	if err != nil {
		return fmt.Errorf("kafka: %w", err)
	}
	client.PauseFetchTopics(ledger)
	for runs.Context().Err() == nil {
		client.PollFetches(runs.Context()).EachError(func(_ string, _ int32, err error) {
			if runs.Context().Err() == nil {
				log.Warn("the group has trouble, repeated", "error", err)
			}
		})
	}
	mu.Lock()
	left = true
	mu.Unlock()
	err = runs.End()
	// Only now do the shards go to others, and at once.
	leave, end := context.WithTimeout(context.WithoutCancel(ctx), session)
	defer end()
	if err := client.LeaveGroupContext(leave); err != nil {
		log.Warn("leaving the group failed, it will notice by itself", "error", err)
	}
	client.Close()
	return err
}
