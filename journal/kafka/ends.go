package kafka

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tocsin-push/tocsin/journal"
)

// Which offset is asked for, as Kafka numbers them.
const (
	latest   = -1
	earliest = -2
)

// ends asks for the ends of many partitions in one request: what comes while one
// is under way goes with the next, which is asked after it came.
type ends struct {
	mu    sync.Mutex
	next  *asked // nil while nobody waits for a request to begin
	under bool   // a request is under way
}

type asked struct {
	of   map[*partition]answer // set before done is closed
	done chan struct{}
}

type answer struct {
	offset int64
	err    error
}

// First asks the leader.
func (j *Journal) First(ctx context.Context, at journal.Partition) (journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return 0, err
	}
	defer j.calls.RUnlock()
	offset, err := j.offset(ctx, p, earliest)
	if err != nil {
		return 0, fmt.Errorf("kafka: first of %s: %w", at, err)
	}
	p.trimmed(offset)
	return journal.Position(offset) + 1, nil
}

// End asks the leader for what every replica in sync has (the high watermark, as
// nothing here is in a transaction). A new leader refuses until that has reached
// what it began with, and so all that was ever acknowledged.
func (j *Journal) End(ctx context.Context, at journal.Partition) (journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return 0, err
	}
	defer j.calls.RUnlock()
	offset, err := j.end(ctx, p)
	if err != nil {
		return 0, fmt.Errorf("kafka: end of %s: %w", at, err)
	}
	return journal.Position(offset) + 1, nil
}

func (j *Journal) end(ctx context.Context, p *partition) (int64, error) {
	p.mu.Lock()
	known, lost := p.known, p.lost
	p.mu.Unlock()
	if lost != nil {
		return 0, lost
	}
	offset, err := j.offset(ctx, p, latest)
	if err != nil {
		return 0, err
	}
	p.reach(offset)
	return max(offset, known), nil
}

func (j *Journal) offset(ctx context.Context, p *partition, which int64) (offset int64, err error) {
	return offset, j.again(ctx, func(ctx context.Context) error {
		if which == latest {
			offset, err = j.ends.ask(ctx, j, p)
		} else {
			a := j.list(ctx, which, map[*partition]answer{p: {}})[p]
			offset, err = a.offset, a.err
		}
		return err
	})
}

func (e *ends) ask(ctx context.Context, j *Journal, p *partition) (int64, error) {
	e.mu.Lock()
	if e.next == nil {
		e.next = &asked{of: make(map[*partition]answer), done: make(chan struct{})}
	}
	mine := e.next
	mine.of[p] = answer{}
	if !e.under {
		e.under = true
		go e.run(j)
	}
	e.mu.Unlock()
	select {
	case <-mine.done:
		return mine.of[p].offset, mine.of[p].err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// run sends requests until nobody waits for one. Its calls' contexts do not end
// it: others wait for the same answer.
func (e *ends) run(j *Journal) {
	for {
		e.mu.Lock()
		now := e.next
		e.next = nil
		e.under = now != nil
		e.mu.Unlock()
		if now == nil {
			return
		}
		ctx, stop := context.WithTimeout(j.done, j.config.Patience)
		now.of = j.list(ctx, latest, now.of)
		stop()
		close(now.done)
	}
}

// list asks the leaders of partitions for an offset each.
func (j *Journal) list(ctx context.Context, which int64, of map[*partition]answer) map[*partition]answer {
	topics := make(map[string][]kmsg.ListOffsetsRequestTopicPartition)
	for p := range of {
		part := kmsg.NewListOffsetsRequestTopicPartition()
		part.Partition, part.Timestamp = p.id, which
		p.mu.Lock()
		part.CurrentLeaderEpoch = p.epoch - 1 // a leader before it is told that it is none
		p.mu.Unlock()
		topics[p.topic] = append(topics[p.topic], part)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	for name, parts := range topics {
		topic := kmsg.NewListOffsetsRequestTopic()
		topic.Topic, topic.Partitions = name, parts
		request.Topics = append(request.Topics, topic)
	}
	answers := make(map[*partition]answer, len(of))
	var failed error = kerr.LeaderNotAvailable
	for _, shard := range j.client.RequestSharded(ctx, request) {
		if shard.Err != nil {
			failed = shard.Err
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, part := range t.Partitions {
				if p := j.find(t.Topic, part.Partition); p != nil {
					answers[p] = answer{part.Offset, kerr.ErrorForCode(part.ErrorCode)}
				}
			}
		}
	}
	for p := range of {
		if _, ok := answers[p]; !ok {
			answers[p] = answer{err: failed}
		}
	}
	return answers
}

// Trim deletes up to the end at most, which the log goes on from.
func (j *Journal) Trim(ctx context.Context, at journal.Partition, before journal.Position) error {
	p, err := j.enter(ctx, at)
	if err != nil {
		return err
	}
	defer j.calls.RUnlock()
	if before <= 1 {
		return nil
	}
	if err := j.trim(ctx, p, int64(before-1)); err != nil {
		return fmt.Errorf("kafka: trim of %s: %w", at, err)
	}
	return nil
}

func (j *Journal) trim(ctx context.Context, p *partition, before int64) error {
	end, err := j.end(ctx, p)
	if err != nil {
		return err
	}
	first, err := j.offset(ctx, p, earliest)
	if err != nil {
		return err
	}
	if before = min(before, end); before > first {
		err = j.again(ctx, func(ctx context.Context) error {
			part := kmsg.NewDeleteRecordsRequestTopicPartition()
			part.Partition, part.Offset = p.id, before
			topic := kmsg.NewDeleteRecordsRequestTopic()
			topic.Topic, topic.Partitions = p.topic, []kmsg.DeleteRecordsRequestTopicPartition{part}
			request := kmsg.NewPtrDeleteRecordsRequest()
			request.Topics = []kmsg.DeleteRecordsRequestTopic{topic}
			response, err := request.RequestWith(ctx, j.client)
			if err != nil {
				return err
			}
			if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
				return kerr.LeaderNotAvailable
			}
			return kerr.ErrorForCode(response.Topics[0].Partitions[0].ErrorCode)
		})
	}
	if err == nil {
		p.trimmed(before)
	}
	return err
}
