package fanout

import (
	"math"
	"sync"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/record"
)

// contents is what the ranges of one send share: its compiled message and the
// values that came with explicit recipients. As time goes by a new one takes its
// place, with what is left of the time to live.
type contents struct {
	slice  *record.Slice
	scope  record.Scope
	due    time.Time
	expiry time.Time
	ttl    time.Duration // left, for providers that are told how long, not until when

	once     sync.Once
	collapse string
	values   map[uint32]map[string]string // by ordinal
	messages [tocsin.WebPush + 1]compiledMessage
}

// compiledMessage is what was compiled of a send for one provider.
type compiledMessage struct {
	once  sync.Once
	err   error // every push is refused
	names []string
	*content.Compiled
}

func newContents(e *record.Envelope, s *ledger.Send, ttl time.Duration) *contents {
	return &contents{slice: e.GetSlice(), scope: s.Scope, due: s.Due, expiry: s.Expiry, ttl: ttl}
}

// ttlSteps is how often the time to live of a send is told anew: what is told
// is too long by a step at most.
const ttlSteps = 64

// timeLeft is what is left of a time to live, in whole steps.
func timeLeft(due, expiry, now time.Time) time.Duration {
	whole := expiry.Sub(due)
	step := max(whole/ttlSteps, time.Second)
	return max(0, whole-max(0, now.Sub(due)).Truncate(step))
}

// ready compiles the message for a provider, once; any worker may be the first.
func (c *contents) ready(a *audience.Shard, p tocsin.Provider) *compiledMessage {
	c.once.Do(func() {
		c.collapse = content.Collapse(c.scope.Project, tocsin.SendID(c.slice.Send))
		for _, r := range c.slice.Recipients {
			if len(r.Values) > 0 {
				_, c.values = a.Explicit(c.scope.Project, c.slice.Recipients, c.due, audience.Cut{Mark: math.MaxUint64})
				return
			}
		}
	})
	m := &c.messages[p]
	m.once.Do(func() {
		meta := content.Meta{Collapse: c.collapse, TTL: c.ttl, Urgent: c.scope.Class == tocsin.Urgent}
		if m.Compiled, m.err = content.Compile(c.slice.Message, meta, p); m.err == nil {
			m.names = m.Names()
		}
	})
	return m
}

// variant is one language of one provider, and its whole payload where nothing
// in it is personal.
type variant struct {
	language string
	*content.Variant
	constant []byte
}

// variants remembers the languages of a range: mostly one or two.
type variants []variant

func (v *variants) of(m *compiledMessage, p tocsin.Provider, language string) *variant {
	for i := range *v {
		if (*v)[i].language == language {
			return &(*v)[i]
		}
	}
	found := variant{language: language, Variant: m.Variant(p, language)}
	if constant, ok := found.Constant(); ok {
		found.constant = constant
	}
	*v = append(*v, found)
	return &(*v)[len(*v)-1]
}
