package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// Journal is an open cluster.
type Journal struct {
	config  Config
	metrics *metrics
	client  *kgo.Client // appends, asks, and reads what lies back
	shards  int
	room    *semaphore.Weighted // bytes of records without an answer
	ends    ends
	tail    *tail
	space   *space

	// Every call holds calls for reading, except while it waits in Wait. closed
	// is written under calls, and done is closed before it.
	calls  sync.RWMutex
	closed bool
	done   context.Context
	close  context.CancelFunc

	mu         sync.Mutex
	partitions map[journal.Partition]*partition
}

var _ journal.Journal = (*Journal)(nil)

// Open opens the journal on topics that Plan has made. It refuses topics whose
// settings could lose what was acknowledged.
func Open(ctx context.Context, c Config) (*Journal, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	shards, err := check(ctx, c)
	if err != nil {
		return nil, err
	}
	metrics, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	options, err := c.connect()
	if err != nil {
		return nil, err
	}
	j := &Journal{
		config: c, metrics: metrics, shards: shards,
		room: semaphore.NewWeighted(c.Buffer), partitions: make(map[journal.Partition]*partition),
	}
	j.done, j.close = context.WithCancel(context.WithoutCancel(ctx))
	// Nothing but an answer ends the client's trying to append. One request at a
	// time to a broker, which would not look at a second one before the first is
	// answered anyway: what comes meanwhile goes together.
	j.client, err = kgo.NewClient(append(options,
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0), kgo.MaxProduceRequestsInflightPerBroker(1),
		kgo.ProduceRequestTimeout(2*time.Second), kgo.UnknownTopicRetries(-1),
		kgo.MaxBufferedRecords(1<<30), kgo.ProducerBatchMaxBytes(batchBytes),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerOnDataLossDetected(j.lostByProducer))...)
	if err == nil {
		j.tail, err = newTail(j, options)
	}
	if err != nil {
		j.close()
		if j.client != nil {
			j.client.Close()
		}
		return nil, fmt.Errorf("kafka: %w", err)
	}
	j.space = &space{journal: j, free: -1}
	return j, nil
}

// Shards is the number of partitions of each topic.
func (j *Journal) Shards() int { return j.shards }

func (c Config) topic(t journal.Topic) string { return c.Prefix + string(t) }

// enter checks the call and returns the partition. The caller leaves with
// j.calls.RUnlock; on an error it has left.
func (j *Journal) enter(ctx context.Context, at journal.Partition, data ...[]byte) (*partition, error) {
	if err := journal.Check(at, data...); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if j.done.Err() != nil {
		return nil, journal.ErrClosed
	}
	if int(at.Shard) >= j.shards {
		return nil, fmt.Errorf("kafka: %s: the topics have %d partitions", at, j.shards)
	}
	j.calls.RLock()
	if j.closed {
		j.calls.RUnlock()
		return nil, journal.ErrClosed
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.partitions[at]
	if p == nil {
		p = &partition{at: at, topic: j.config.topic(at.Topic), id: int32(at.Shard), limit: j.config.Tail}
		j.partitions[at] = p
	}
	return p, nil
}

// find is the partition of a topic by its name in Kafka, nil when nobody has
// asked for it.
func (j *Journal) find(topic string, id int32) *partition {
	if len(topic) < len(j.config.Prefix) {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.partitions[journal.Partition{Topic: journal.Topic(topic[len(j.config.Prefix):]), Shard: tocsin.Shard(id)}]
}

func (j *Journal) lostByProducer(topic string, id int32) {
	if p := j.find(topic, id); p != nil {
		_ = j.lose(p, "the broker has forgotten records that it had acknowledged")
	}
}

// lose ends the use of a partition for good: what is known of it here and what
// the cluster holds are no longer the same.
func (j *Journal) lose(p *partition, why string) error {
	lost, new := p.lose(fmt.Errorf("kafka: %s: %w: %s", p.at, journal.ErrLost, why))
	if new {
		j.metrics.lost.Inc()
		j.config.Log.Error("the cluster lost records", "log", p.at.String(), "why", why)
	}
	return lost
}

// again repeats ask while its error may pass by itself, for Patience at most.
func (j *Journal) again(ctx context.Context, ask func(ctx context.Context) error) error {
	ctx, stop := context.WithTimeout(ctx, j.config.Patience)
	defer stop()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := ask(ctx)
		if err == nil || !passes(err) {
			return err
		}
		select {
		case <-time.After(wait):
		case <-j.done.Done():
			return journal.ErrClosed
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

// passes: errors of the network, and of a broker that no longer leads or does
// not lead yet.
func passes(err error) bool {
	var said *kerr.Error
	return errors.As(err, &said) && (said.Retriable || said == kerr.UnknownServerError) ||
		said == nil && !errors.Is(err, context.Canceled) && !errors.Is(err, journal.ErrTrimmed) &&
			!errors.Is(err, journal.ErrLost) && !errors.Is(err, kgo.ErrClientClosed)
}

// Close waits for calls under way. What was given up on and has no answer yet
// may still appear.
func (j *Journal) Close() error {
	j.close() // whoever waits, or tries again, returns
	j.calls.Lock()
	defer j.calls.Unlock()
	if j.closed {
		return journal.ErrClosed
	}
	j.closed = true
	j.tail.close()
	j.client.Close()
	return nil
}
