package kafka_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
)

// member shares the shards of a group, and tells what it has.
type member struct {
	events chan event
	stop   context.CancelFunc
	ended  chan error
}

type event struct {
	shard tocsin.Shard
	began bool
}

func join(ctx context.Context, g journal.Group) *member {
	ctx, stop := context.WithCancel(ctx)
	m := &member{events: make(chan event, 1000), stop: stop, ended: make(chan error, 1)}
	go func() {
		m.ended <- g.Share(ctx, "owners", func(ctx context.Context, shard tocsin.Shard) error {
			m.events <- event{shard, true}
			<-ctx.Done()
			m.events <- event{shard, false}
			return nil
		})
	}()
	return m
}

// until follows members until the shards that each has are as wanted. One shard
// is never run by two of them: members hand over before others begin.
func until(t *testing.T, members []*member, has []map[tocsin.Shard]bool, wanted func() bool) {
	t.Helper()
	for limit := time.After(time.Minute); !wanted(); {
		for i, m := range members {
			select {
			case e := <-m.events:
				if !e.began {
					delete(has[i], e.shard)
					continue
				}
				has[i][e.shard] = true
			case <-time.After(20 * time.Millisecond): // the other one's turn
			case <-limit:
				t.Fatalf("the members have %v", has)
			}
		}
	}
}

// group has two members share the shards, and one hand its own over.
func group(t *testing.T, brokers []string) {
	c := fresh(brokers...)
	create(t, c)
	first, second := open(t, c), open(t, c)
	t.Cleanup(func() { _, _ = first.Close(), second.Close() })
	has := []map[tocsin.Shard]bool{{}, {}}
	one := join(t.Context(), first)
	until(t, []*member{one}, has, func() bool { return len(has[0]) == shards })
	two := join(t.Context(), second)
	both := []*member{one, two}
	until(t, both, has, func() bool { return len(has[0]) == shards/2 && len(has[1]) == shards/2 })
	for shard := range has[1] {
		if has[0][shard] {
			t.Errorf("both have shard %d", shard)
		}
	}
	two.stop()
	if err := <-two.ended; err != nil {
		t.Error(err)
	}
	until(t, both, has, func() bool { return len(has[0]) == shards && len(has[1]) == 0 })
	one.stop()
	if err := <-one.ended; err != nil {
		t.Error(err)
	}
}

func TestMembersShareTheShardsAndHandThemOver(t *testing.T) { group(t, fake(t, 1)) }

func TestARunThatFailsEndsItsMember(t *testing.T) {
	c := fresh(fake(t, 1)...)
	create(t, c)
	j := open(t, c)
	defer j.Close()
	broken := errors.New("damaged")
	err := j.Share(t.Context(), "owners", func(ctx context.Context, shard tocsin.Shard) error {
		if shard == 3 {
			return broken
		}
		<-ctx.Done()
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("Share says %v", err)
	}
}
