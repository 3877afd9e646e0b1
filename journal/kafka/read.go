package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tocsin-push/tocsin/journal"
)

// Read takes records from the tail where it has them. What lies back, or is known
// to be there and did not come in yet, it asks the leader for.
func (j *Journal) Read(ctx context.Context, at journal.Partition, from journal.Position, limit int) ([]journal.Record, journal.Position, error) {
	p, err := j.enter(ctx, at)
	if err != nil {
		return nil, 0, err
	}
	defer j.calls.RUnlock()
	offset := int64(max(from, 1)) - 1
	records, next, there, err := p.read(offset, limit)
	if !there {
		err = j.again(ctx, func(ctx context.Context) error {
			records, next, err = j.fetch(ctx, p, offset, limit)
			return err
		})
		j.metrics.fetched.Inc()
	}
	switch {
	case errors.Is(err, journal.ErrTrimmed), errors.Is(err, journal.ErrLost):
		return nil, 0, err
	case err != nil:
		return nil, 0, fmt.Errorf("kafka: read of %s at %d: %w", at, from, err)
	}
	return records, max(from, journal.Position(next)+1), nil
}

// fetch asks the leader for records and does not wait for any.
func (j *Journal) fetch(ctx context.Context, p *partition, from int64, limit int) ([]journal.Record, int64, error) {
	leader, epoch, id, err := j.leader(ctx, p)
	if err != nil {
		return nil, 0, err
	}
	part := kmsg.NewFetchRequestTopicPartition()
	part.Partition, part.FetchOffset, part.CurrentLeaderEpoch = p.id, from, epoch
	part.PartitionMaxBytes = int32(min(max(limit, 64<<10), 32<<20))
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = p.topic, id, []kmsg.FetchRequestTopicPartition{part}
	request := kmsg.NewPtrFetchRequest()
	request.MaxWaitMillis, request.MinBytes, request.MaxBytes = 0, 0, part.PartitionMaxBytes
	request.SessionEpoch = -1
	request.Topics = []kmsg.FetchRequestTopic{topic}
	said, err := j.client.Broker(int(leader)).RetriableRequest(ctx, request)
	if err != nil {
		return nil, 0, err
	}
	response := said.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(response.ErrorCode); err != nil {
		return nil, 0, err
	}
	if len(response.Topics) != 1 || len(response.Topics[0].Partitions) != 1 {
		return nil, 0, kerr.UnknownTopicOrPartition
	}
	found := &response.Topics[0].Partitions[0]
	if kerr.ErrorForCode(found.ErrorCode) == kerr.OffsetOutOfRange {
		return nil, 0, j.outside(ctx, p, from)
	}
	parsed, _ := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{Offset: from, Topic: p.topic, Partition: p.id}, found, kgo.DefaultDecompressor(), nil)
	if len(parsed.Records) == 0 {
		if parsed.Err == nil {
			p.reach(found.HighWatermark)
		}
		return nil, from, parsed.Err
	}
	records := make([]journal.Record, 0, len(parsed.Records))
	size := 0
	for _, r := range parsed.Records {
		if size += len(r.Value); size > limit && len(records) > 0 {
			break
		}
		if next := from + int64(len(records)); r.Offset != next {
			return nil, 0, j.lose(p, fmt.Sprintf("offset %d follows where %d is due", r.Offset, next))
		}
		records = append(records, journal.Record{Position: journal.Position(r.Offset) + 1, Data: r.Value})
	}
	p.mu.Lock()
	p.epoch = max(p.epoch, parsed.Records[0].LeaderEpoch+1)
	p.mu.Unlock()
	p.reach(found.HighWatermark)
	return records, from + int64(len(records)), nil
}

// leader is the broker to ask, in no older an epoch than records were read of.
func (j *Journal) leader(ctx context.Context, p *partition) (broker, epoch int32, id [16]byte, err error) {
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &p.topic
	request.Topics = []kmsg.MetadataRequestTopic{topic}
	for _, age := range []time.Duration{time.Second, time.Millisecond} {
		var m *kmsg.MetadataResponse
		if m, err = j.client.RequestCachedMetadata(ctx, request, age); err != nil {
			return 0, 0, id, err
		}
		err = kerr.LeaderNotAvailable
		for _, t := range m.Topics {
			for _, part := range t.Partitions {
				p.mu.Lock()
				new := part.LeaderEpoch+1 >= p.epoch
				p.mu.Unlock()
				if part.Partition == p.id && part.Leader >= 0 && new {
					return part.Leader, part.LeaderEpoch, t.TopicID, nil
				}
			}
		}
	}
	return 0, 0, id, err
}

// outside tells why a leader has no record at an offset.
func (j *Journal) outside(ctx context.Context, p *partition, from int64) error {
	first := j.list(ctx, earliest, map[*partition]answer{p: {}})[p]
	if first.err != nil {
		return first.err
	}
	if from < first.offset {
		p.trimmed(first.offset)
		return journal.ErrTrimmed
	}
	end := j.list(ctx, latest, map[*partition]answer{p: {}})[p]
	if end.err != nil {
		return end.err
	}
	if from > end.offset {
		return j.lose(p, fmt.Sprintf("it ends at offset %d, and a reader has come to %d", end.offset, from))
	}
	return kerr.OffsetNotAvailable // the log has moved in between
}

// Wait begins the tail of a partition, and waits at its end.
func (j *Journal) Wait(ctx context.Context, at journal.Partition, from journal.Position) error {
	offset := int64(max(from, 1)) - 1
	for {
		p, err := j.enter(ctx, at)
		if err != nil {
			return err
		}
		wake, tailing, err := p.wait(offset)
		if err == nil && !tailing {
			err = j.tail.begin(ctx, p)
		}
		j.calls.RUnlock()
		switch {
		case err != nil:
			if j.done.Err() != nil {
				return journal.ErrClosed
			}
			return fmt.Errorf("kafka: waiting at %s: %w", at, err)
		case wake == nil && tailing:
			return nil
		case wake == nil:
			continue
		}
		select {
		case <-wake:
		case <-j.done.Done():
			return journal.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
