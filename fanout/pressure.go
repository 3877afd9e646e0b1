package fanout

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// question asks the goroutine that paces how things stand.
type question struct{ answer chan pace.State }

// State tells how things stand: quotas, what is open, what is under way.
func (l *Lanes) State(ctx context.Context) (pace.State, error) {
	q := question{make(chan pace.State, 1)}
	l.box.post(q)
	select {
	case s := <-q.answer:
		return s, nil
	case <-l.ended:
		return pace.State{}, errors.New("fanout: the lanes are closed")
	case <-ctx.Done():
		return pace.State{}, ctx.Err()
	}
}

// Refuses reports whether a new send waits outside, as too much is open
// already: what shards told within the last tenth of a second.
func (l *Lanes) Refuses(project tocsin.ProjectID, class tocsin.Class) (pace.Refusal, bool) {
	if a := l.admission.Load(); a != nil {
		return a.Refuses(project, class)
	}
	return pace.Refusal{}, false
}

// tellEvery is the pause between two tellings of what is open on a shard.
const tellEvery = 100 * time.Millisecond

// Loads is what is open on the shard: the sends that are, by route, and the
// slices that are read and not opened, without one.
func (m *Machine) Loads() []pace.Load {
	if m.phase != owning {
		return nil
	}
	type key struct {
		route   provider.Route
		project tocsin.ProjectID
		class   tocsin.Class
	}
	var loads []pace.Load
	at := map[key]int{}
	add := func(j *job, r provider.Route, slices, pushes int) {
		var scope record.Scope
		if j.send != nil { // its content may not be fetched yet
			scope = j.send.Scope
		} else {
			scope = record.Of(j.content)
		}
		k := key{r, scope.Project, pace.Known(scope.Class)}
		i, known := at[k]
		if !known {
			i = len(loads)
			at[k] = i
			loads = append(loads, pace.Load{Route: r, Project: k.project, Environment: scope.Environment, Class: k.class})
		}
		loads[i].Slices += slices
		loads[i].Pushes += pushes
	}
	for _, s := range m.fold.Sends() {
		j := m.jobs[s.ID]
		if j == nil || j.stage != open {
			continue
		}
		first := 1
		for _, f := range j.feeds {
			pushes := 0
			for _, n := range f.pages {
				pushes += s.Page(n).Open()
			}
			add(j, f.route, first, pushes)
			first = 0
		}
	}
	for _, j := range m.opening {
		pushes := max(len(j.slice().GetRecipients()), audience.StoredOn(j.slice().GetStored(), m.shard))
		for _, lot := range j.audience.Lots {
			pushes += int(lot.Count)
		}
		add(j, provider.Route{}, 1, pushes)
	}
	return loads
}

// collector brings the state of the pace machine to the metrics.
type collector struct{ *Lanes }

var (
	subjectLabels = []string{"provider", "subject"}

	paceRate       = prometheus.NewDesc("tocsin_pace_pushes_per_second", "Pushes that leave in a second, measured.", nil, nil)
	paceAhead      = prometheus.NewDesc("tocsin_pace_ahead", "Pushes granted that have not left.", nil, nil)
	paceConfigured = prometheus.NewDesc("tocsin_pace_configured_per_minute", "Quota configured, 0 for none.", subjectLabels, nil)
	paceGranted    = prometheus.NewDesc("tocsin_pace_granted_per_minute", "What the provider is held to grant, 0 for all of the quota.", subjectLabels, nil)
	paceFlight     = prometheus.NewDesc("tocsin_pace_in_flight", "Pushes granted and not answered.", subjectLabels, nil)
	paceBacklog    = prometheus.NewDesc("tocsin_pace_backlog", "Pushes open, without an outcome.", subjectLabels, nil)
	paceLatency    = prometheus.NewDesc("tocsin_pace_answer_seconds", "Time of an answer, of late.", subjectLabels, nil)
	paceQuiet      = prometheus.NewDesc("tocsin_pace_quiet_seconds", "Until the provider wants to hear again, 0 for now.", subjectLabels, nil)
	paceShare      = prometheus.NewDesc("tocsin_pace_share_per_second", "What this process may let leave in any second, of a quota that it shares.", subjectLabels, nil)
	paceOthers     = prometheus.NewDesc("tocsin_pace_others_per_second", "What the other processes may let leave in any second.", subjectLabels, nil)
	paceSharing    = prometheus.NewDesc("tocsin_pace_sharing_processes", "Processes that share the quota, this one included.", subjectLabels, nil)
	paceProject    = prometheus.NewDesc("tocsin_pace_project_backlog", "Pushes open of a project, without an outcome.", []string{"project", "environment"}, nil)
	paceClass      = prometheus.NewDesc("tocsin_pace_class_backlog", "Pushes open of a class, without an outcome.", []string{"class"}, nil)
)

func (collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{paceRate, paceAhead, paceConfigured, paceGranted, paceFlight, paceBacklog, paceLatency, paceQuiet,
		paceShare, paceOthers, paceSharing, paceProject, paceClass} {
		to <- d
	}
}

func (c collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state, err := c.State(ctx)
	if err != nil {
		return // it starts or ends
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(paceRate, state.Rate)
	gauge(paceAhead, float64(state.Ahead))
	for _, s := range state.Subjects {
		labels := []string{s.Provider.String(), s.Subject}
		gauge(paceConfigured, float64(s.Configured), labels...)
		gauge(paceGranted, float64(s.Granted), labels...)
		gauge(paceFlight, float64(s.InFlight), labels...)
		gauge(paceBacklog, float64(s.Backlog.Pushes), labels...)
		gauge(paceLatency, s.Latency.Seconds(), labels...)
		gauge(paceQuiet, max(0, time.Until(s.Until).Seconds()), labels...)
		if s.Shared.Processes > 0 {
			gauge(paceShare, float64(s.Shared.Own), labels...)
			gauge(paceOthers, float64(s.Shared.Others), labels...)
			gauge(paceSharing, float64(s.Shared.Processes), labels...)
		}
	}
	for _, p := range state.Projects {
		gauge(paceProject, float64(p.Pushes), p.Project.String(), p.Environment.String())
	}
	for class := tocsin.Urgent; class <= tocsin.Synthetic; class++ {
		gauge(paceClass, float64(state.Classes[class].Pushes), class.String())
	}
}
