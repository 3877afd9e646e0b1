package fanout

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin/provider"
)

// metrics count by range; per project, environment and class (law L10), but
// for a credential, which all classes share.
type metrics struct {
	pushes  *prometheus.CounterVec
	refused *prometheus.GaugeVec

	unshared prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		pushes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_fanout_pushes_total",
			Help: "Pushes that were claimed and came back, by what became of them.",
		}, []string{"project", "environment", "class", "provider", "result"}),
		refused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tocsin_fanout_credential_refused",
			Help: "1 while the provider refuses a project's credential and its pushes wait.",
		}, []string{"project", "environment", "provider"}),
		unshared: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tocsin_pace_share_failures_total",
			Help: "Shares of quotas that could not be read from the store or written.",
		}),
	}
	for _, c := range []prometheus.Collector{m.pushes, m.refused, m.unshared} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var resultNames = [...]string{
	provider.Accepted: "accepted", provider.Gone: "gone", provider.Refused: "refused", provider.Later: "later", provider.Fault: "fault",
	provider.Unprocessed: "unprocessed", provider.Lost: "lost", provider.Unsent: "unsent", provider.Pending: "unsent",
}

func (o *Owner) observe(f *flight, answers []Answer) {
	scope := f.contents.scope
	for _, a := range answers {
		result := resultNames[a.Result]
		if a.Outcome != 0 {
			result = a.Outcome.String()
		}
		o.lanes.metrics.pushes.WithLabelValues(scope.Project.String(), scope.Environment.String(), scope.Class.String(),
			f.batch.Route.Provider.String(), result).Add(float64(a.Count))
	}
}
