package kafka_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/journal/journaltest"
	"github.com/tocsin-push/tocsin/journal/kafka"
)

const shards = 8

// fresh is a configuration whose prefix nobody else uses.
func fresh(brokers ...string) kafka.Config {
	c := kafka.Default()
	c.Brokers, c.Single = brokers, len(brokers) == 1
	c.Prefix = fmt.Sprintf("t%d.", count.Add(1))
	c.Log, c.Metrics = slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	c.Reserve = 1
	return c
}

var count atomic.Int64

// fake is a cluster in this process.
func fake(t testing.TB, brokers int) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(brokers))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func create(t testing.TB, c kafka.Config) {
	t.Helper()
	plan, err := kafka.Compare(t.Context(), c, shards)
	if err == nil {
		err = plan.Apply(t.Context(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, c kafka.Config) *kafka.Journal {
	t.Helper()
	c.Metrics = prometheus.NewRegistry()
	j, err := kafka.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func contract(t *testing.T, brokers []string) {
	journaltest.Run(t, func(t *testing.T) journaltest.Engine {
		c := fresh(brokers...)
		create(t, c)
		j := open(t, c)
		return journaltest.Engine{Journal: j, Shards: shards, Reopen: func() journal.Journal {
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j = open(t, c)
			return j
		}}
	})
}

func TestContract(t *testing.T) { contract(t, fake(t, 3)) }
