package receipt

import (
	"context"
	"errors"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
)

// Answers is a shell as it is asked by whoever does not hold it. What it does not
// say here the shell answers itself.
type Answers struct{ *Shell }

var _ ask.Receipts = Answers{}

// Counters are those of a send; nil where it was not opened, or is forgotten.
func (a Answers) Counters(ctx context.Context, send tocsin.SendID) (*record.Counters, error) {
	return a.Status(ctx, send)
}

// Trace is the story of the push to an ordinal; nil when it was not targeted here.
func (a Answers) Trace(ctx context.Context, send tocsin.SendID, ordinal uint32) (*ask.Trace, error) {
	found, err := a.Shell.Trace(ctx, send, ordinal)
	if errors.Is(err, ErrNotTargeted) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	t := &ask.Trace{Page: found.Page, Index: found.Index, Provider: found.Provider, State: found.State, Reason: found.Reason, Doubt: found.Doubt}
	for _, one := range found.Attempts {
		t.Attempts = append(t.Attempts, one.Attempt)
	}
	return t, nil
}

// Outcomes calls each for every push of a send that is closed here and saved.
func (a Answers) Outcomes(ctx context.Context, send tocsin.SendID, each func(ask.Outcome) bool) (bool, error) {
	return a.Shell.Outcomes(ctx, send, func(o Outcome) bool {
		return each(ask.Outcome{Ordinal: o.Ordinal, Provider: tocsin.Provider(o.Route.GetProvider()), Outcome: o.Outcome, Reason: o.Reason, Doubt: o.Doubt, Attempt: o.Attempt})
	})
}
