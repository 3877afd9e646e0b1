package kafka

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tocsin-push/tocsin/journal"
)

const (
	// longPoll is how long a broker keeps a request for new records when there
	// are none. A partition that is added waits as long for the next request.
	longPoll = 250 * time.Millisecond
	// idle is how long nobody has to read a tail until it ends.
	idle = 30 * time.Second
)

// tail waits for new records of all partitions that somebody waits at, with one
// client, and hands them to their partitions.
type tail struct {
	journal *Journal
	client  *kgo.Client
	ended   chan struct{}

	mu  sync.Mutex // held to begin and to end the tail of a partition
	all map[*partition]struct{}
}

func newTail(j *Journal, options []kgo.Opt) (*tail, error) {
	// Never another offset than that asked for.
	client, err := kgo.NewClient(append(options, kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(longPoll), kgo.FetchMinBytes(1), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(2<<20))...)
	if err != nil {
		return nil, err
	}
	t := &tail{journal: j, client: client, ended: make(chan struct{}), all: make(map[*partition]struct{})}
	go t.run()
	return t, nil
}

func (t *tail) close() {
	<-t.ended
	t.client.Close()
}

// begin starts the tail of a partition where its log ends now.
func (t *tail) begin(ctx context.Context, p *partition) error {
	end, err := t.journal.end(ctx, p)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.all[p]; ok {
		return nil
	}
	t.all[p] = struct{}{}
	p.start(end)
	t.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.topic: {p.id: kgo.NewOffset().At(end)}})
	return nil
}

func (t *tail) end(p *partition, fault error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.all[p]; !ok {
		return
	}
	delete(t.all, p)
	t.client.RemoveConsumePartitions(map[string][]int32{p.topic: {p.id}})
	p.stop(fault)
}

func (t *tail) run() {
	defer close(t.ended)
	swept := time.Now()
	for {
		ctx, stop := context.WithTimeout(t.journal.done, idle/3)
		got := t.client.PollFetches(ctx)
		stop()
		if t.journal.done.Err() != nil {
			return
		}
		got.EachPartition(func(f kgo.FetchTopicPartition) {
			if p := t.journal.find(f.Topic, f.Partition); p != nil {
				t.take(p, f)
			}
		})
		if time.Since(swept) > idle/3 {
			swept = time.Now()
			t.sweep(swept)
		}
	}
}

// take copies records out of the answer, which holds those of all partitions.
func (t *tail) take(p *partition, f kgo.FetchTopicPartition) {
	size := 0
	for _, r := range f.Records {
		size += len(r.Value)
	}
	kept := make([]byte, 0, size)
	records := make([]journal.Record, len(f.Records))
	gap := false
	for i, r := range f.Records {
		kept = append(kept, r.Value...)
		records[i] = journal.Record{Position: journal.Position(r.Offset) + 1, Data: kept[len(kept)-len(r.Value) : len(kept) : len(kept)]}
		gap = gap || i > 0 && records[i].Position != records[i-1].Position+1
	}
	if len(records) > 0 {
		p.mu.Lock()
		p.epoch = max(p.epoch, f.Records[len(f.Records)-1].LeaderEpoch+1)
		p.mu.Unlock()
	}
	var lost *kgo.ErrDataLoss
	switch {
	case errors.As(f.Err, &lost):
		_ = t.journal.lose(p, lost.Error())
	case f.Err != nil:
		// What passes by itself the client repeats; this does not. Who waits is
		// told, and begins again.
		t.journal.config.Log.Warn("waiting for records failed", "log", p.at.String(), "error", f.Err)
		t.end(p, f.Err)
	case p.took(records) || gap:
		_ = t.journal.lose(p, "records are missing between those that were read")
	}
}

// sweep ends the tails that nobody reads: their shards went elsewhere.
func (t *tail) sweep(now time.Time) {
	t.mu.Lock()
	var left []*partition
	for p := range t.all {
		p.mu.Lock()
		if p.lost != nil || p.wake == nil && now.Sub(p.used) > idle {
			left = append(left, p)
		}
		p.mu.Unlock()
	}
	t.mu.Unlock()
	for _, p := range left {
		t.end(p, nil)
	}
}
