package audience

import "github.com/prometheus/client_golang/prometheus"

// metrics tell of snapshots. They are of shards, which hold many projects.
type metrics struct {
	bytes *prometheus.CounterVec
	took  prometheus.Histogram
	pause prometheus.Histogram
	fails *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_audience_snapshot_bytes_total",
			Help: "Bytes of snapshots of the audience: written, or shared with one that was there.",
		}, []string{"kind"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tocsin_audience_snapshot_seconds", Help: "Time to make and verify a snapshot of a shard.",
			Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
		}),
		pause: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tocsin_audience_snapshot_pause_seconds", Help: "Longest time that a snapshot kept a shard's writer and readers waiting.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 8),
		}),
		fails: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_audience_snapshot_failures_total",
			Help: "Snapshots that could not be written, or not be read at the start.",
		}, []string{"kind"}),
	}
	for _, c := range []prometheus.Collector{m.bytes, m.took, m.pause, m.fails} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
