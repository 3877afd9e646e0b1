package fcm

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin/bulk"
	"github.com/tocsin-push/tocsin/provider"
)

// lane implements provider.Lane.
type lane struct {
	cfg    Config
	pool   *bulk.Pool
	log    *slog.Logger
	path   string
	source *source
	cancel context.CancelFunc // of the source

	mu       sync.Mutex
	access   *access
	fetching bool
	refused  bool              // the last access token was refused
	waiting  []*provider.Batch // for a token, in order
	failure  error             // of the last exchange
	failures int
	closed   bool
	changed  chan struct{} // closed and replaced when an exchange ends
	refusals bulk.Suspicion
}

// usable reports whether requests may carry the token.
func (a *access) usable(now time.Time) bool { return a != nil && now.Before(a.expires) }

// token returns a usable token or nil, and starts an exchange when there is
// none or it ends soon. One exchange is under way at most. The lock is held.
func (l *lane) token(now time.Time) *access {
	if !l.fetching && !l.closed && (!l.access.usable(now) || now.Add(l.cfg.Renew).After(l.access.expires) && now.After(l.access.obtained.Add(l.cfg.Renew))) {
		l.fetching = true
		go l.exchange()
	}
	if l.access.usable(now) {
		return l.access
	}
	return nil
}

// exchange fetches a token and sends what waited for it.
func (l *lane) exchange() {
	a, err := l.source.fetch(time.Now())
	l.mu.Lock()
	l.fetching = false
	waiting := l.waiting
	l.waiting = nil
	var result provider.Result
	var detail provider.Detail
	if err == nil {
		a.shape.Path = l.path
		a.renewal, l.refused = l.refused, false
		l.access, l.failure = a, nil
	} else {
		l.failures++
		result, detail, l.failure = why(err)
		l.log.Warn("no access token", "error", l.failure)
	}
	if err == nil || l.access.usable(time.Now()) {
		for _, b := range waiting { // under the lock, so that no later batch overtakes them
			l.submit(b, l.access)
		}
		waiting = nil
	}
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	for _, b := range waiting {
		provider.Settle(b, result, detail)
	}
}

func (l *lane) submit(b *provider.Batch, a *access) {
	l.pool.Submit(bulk.Work{Batch: b, Shape: a.shape, Pushes: &pushes{lane: l, batch: b, access: a}})
}

func (l *lane) Send(b *provider.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		go provider.Settle(b, provider.Unsent, provider.Detail{})
		return
	}
	if a := l.token(time.Now()); a != nil {
		l.submit(b, a)
		return
	}
	l.waiting = append(l.waiting, b)
}

func (l *lane) Warm(ctx context.Context) error {
	l.mu.Lock()
	failures := l.failures
	for l.token(time.Now()) == nil {
		switch {
		case l.closed:
			l.mu.Unlock()
			return provider.ErrClosed
		case l.failures > failures:
			defer l.mu.Unlock()
			return l.failure
		}
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		l.mu.Lock()
	}
	l.mu.Unlock()
	return l.pool.Warm(ctx)
}

func (l *lane) Capacity() int { return l.pool.Capacity() }

func (l *lane) State() provider.State { return l.pool.State() }

func (l *lane) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	l.cancel()
	for _, b := range waiting {
		provider.Settle(b, provider.Unsent, provider.Detail{})
	}
	err := l.pool.Close(ctx)
	l.mu.Lock()
	for l.fetching {
		changed := l.changed
		l.mu.Unlock()
		<-changed
		l.mu.Lock()
	}
	l.mu.Unlock()
	return err
}

// rejected is told that Google did not accept a token. It reports whether
// another one is worth a try: not when this one was itself fetched for that,
// and nothing was accepted with it.
func (l *lane) rejected(a *access) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.access == a {
		l.access, l.refused = nil, true
	}
	return !a.renewal || !l.refusals.Refused(l.pool.Accepted(), 0)
}
