package kafka

import "github.com/prometheus/client_golang/prometheus"

// metrics tell of logs, which hold many projects.
type metrics struct {
	took    prometheus.Histogram
	failed  prometheus.Counter
	fetched prometheus.Counter
	lost    prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tocsin_kafka_append_seconds", Help: "Time until an append was on all replicas in sync.",
			Buckets: prometheus.ExponentialBuckets(0.00025, 2, 16),
		}),
		failed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_kafka_append_failures_total", Help: "Appends that failed, or had no answer in time.",
		}),
		fetched: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_kafka_fetches_total", Help: "Reads that the tail in memory did not serve.",
		}),
		lost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_kafka_lost_total", Help: "Partitions of which the cluster lost records that it had acknowledged.",
		}),
	}
	for _, c := range []prometheus.Collector{m.took, m.failed, m.fetched, m.lost} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
