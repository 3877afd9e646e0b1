package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tocsin-push/tocsin/journal"
)

// space knows how much room the brokers' folders have. Kafka refuses nothing
// until a folder is full, and then the broker drops out; so we refuse before.
type space struct {
	journal *Journal

	mu   sync.Mutex
	free int64 // of the fullest folder, -1 while unknown
	seen time.Time
	asks bool
}

// often is how long an answer is good for.
const often = 5 * time.Second

// refuse is ErrFull when records of a topic may not be appended. It never waits:
// the answer of a while ago counts.
func (s *space) refuse(topic journal.Topic) error {
	reserve := s.journal.config.Reserve
	if topic != journal.Changes {
		reserve /= 4
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.seen) > often && !s.asks {
		s.asks = true
		go s.ask()
	}
	if s.free >= 0 && s.free < reserve {
		return fmt.Errorf("%w: %d MiB are free on the fullest broker", journal.ErrFull, s.free>>20)
	}
	return nil
}

func (s *space) ask() {
	ctx, stop := context.WithTimeout(s.journal.done, often)
	defer stop()
	request := kmsg.NewPtrDescribeLogDirsRequest()
	request.Topics = []kmsg.DescribeLogDirsRequestTopic{} // none: only the folders
	free := int64(-1)
	for _, broker := range s.journal.client.RequestSharded(ctx, request) {
		if broker.Err != nil {
			continue // it is away, and takes nothing
		}
		for _, dir := range broker.Resp.(*kmsg.DescribeLogDirsResponse).Dirs {
			if dir.ErrorCode == 0 && dir.UsableBytes >= 0 && (free < 0 || dir.UsableBytes < free) {
				free = dir.UsableBytes
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks, s.seen, s.free = false, time.Now(), free
}

// Full is an error while nothing new may be begun.
func (j *Journal) Full() error { return j.space.refuse(journal.Changes) }
