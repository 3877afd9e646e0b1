package node_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// Kafka is away in mid-send for longer than its groups wait for a member: sends
// are refused, no process ends, and all goes on by itself when it is back. The
// refused request, repeated under its key, is one send.
func TestKafkaIsAwayInMidSend(t *testing.T) {
	t.Parallel()
	const people, session = 4000, 6 * time.Second
	c := newCluster(t, func(s *sim.Config) { s.APNs.MaxRate = 1000 })
	c.kafka.Patience = time.Second
	if _, err := node.Install(t.Context(), c.store, severalShards, false, c.folder); err != nil {
		t.Fatal(err)
	}
	c.start(node.Fanout, node.Plan, node.Receipt)
	c.enter()
	c.populate(tocsin.APNs, people)
	first := c.send(everybody())
	c.until(first, "under way", func(now client.Send) bool { return now.Counters != nil && now.Counters.Accepted > people/10 })

	var away atomic.Bool
	c.brokers.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		c.brokers.KeepControl()
		return nil, errors.New("the broker is away"), away.Load()
	})
	away.Store(true)
	once, err := client.New(client.Config{URL: c.url, Key: c.project.Key, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	request := client.SendRequest{Target: everybody(), Message: message()}
	refused := 0
	for began := time.Now(); time.Since(began) < 2*session; refused++ {
		if made, err := once.Send(t.Context(), request, "results"); !errors.Is(err, client.ErrUnavailable) {
			t.Fatalf("a send while Kafka is away: %+v, %v", made, err)
		}
	}
	away.Store(false)
	made, err := c.api.Send(t.Context(), request, "results")
	for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); {
		made, err = c.api.Send(t.Context(), request, "results")
	}
	if err != nil {
		t.Fatal(err)
	}
	doubtful := int64(0)
	for _, id := range []tocsin.SendID{first, made.ID} {
		ended := c.ended(id)
		if doubtful += ended.Counters.Doubtful; ended.Counters.Accepted+ended.Counters.InDoubt != people {
			t.Errorf("%+v", ended.Counters)
		}
	}
	accepted := int64(0)
	c.sim.Ledger().Each(func(r *sim.Record) {
		if r.Accepted() {
			accepted++
		}
	})
	if accepted < 2*people-doubtful || accepted > 2*people+doubtful {
		t.Errorf("providers accepted %d of %d pushes, %d are doubtful; %d requests were refused", accepted, 2*people, doubtful, refused)
	}
}
