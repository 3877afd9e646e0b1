package snapshot

import "github.com/prometheus/client_golang/prometheus"

// metrics tell of snapshots. They are of shards, which hold many projects.
type metrics struct {
	bytes *prometheus.CounterVec
	took  prometheus.Histogram
	pause prometheus.Histogram
	fails *prometheus.CounterVec
}

// newMetrics names them after what the snapshots are of.
func newMetrics(of string, r prometheus.Registerer) (*metrics, error) {
	name := func(what string) string { return prometheus.BuildFQName("tocsin", of, "snapshot_"+what) }
	m := &metrics{
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("bytes_total"), Help: "Bytes of snapshots, while they are made or read: written, shared with one that was there, or read.",
		}, []string{"kind"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("seconds"), Help: "Time to make and verify a snapshot of a shard.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}),
		pause: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name("pause_seconds"), Help: "Longest time that a snapshot kept a shard's writer and readers waiting.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		fails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: name("failures_total"), Help: "Snapshots that could not be written, or not be read at the start.",
		}, []string{"kind"}),
	}
	for _, c := range []prometheus.Collector{m.bytes, m.took, m.pause, m.fails} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
