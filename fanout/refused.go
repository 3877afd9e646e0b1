package fanout

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/pace"
)

// Refused tells since when a provider refuses a credential in this process.
func (l *Lanes) Refused(id tocsin.CredentialID) (since time.Time, refused bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	since, refused = l.refused[id]
	return since, refused
}

// heard notes what an answer says of the credential of a way.
func (p *pacer) heard(w *way, e pace.Finished) {
	id := w.route.Credential
	_, was := p.Refused(id)
	switch {
	case e.Faulted > 0 && !was:
		p.log.Error("the provider refuses the credential: its pushes wait until it is replaced",
			w.named("credential", id.String())...)
		p.metrics.refused.WithLabelValues(w.project.String(), w.environment.String(), w.route.Provider.String()).Set(1)
		p.mu.Lock()
		p.refused[id] = time.Now()
		p.mu.Unlock()
	case e.Faulted == 0 && e.Proven > 0 && was:
		p.log.Info("the credential is accepted again", w.named("credential", id.String())...)
		p.metrics.refused.WithLabelValues(w.project.String(), w.environment.String(), w.route.Provider.String()).Set(0)
		p.mu.Lock()
		delete(p.refused, id)
		p.mu.Unlock()
	}
}
