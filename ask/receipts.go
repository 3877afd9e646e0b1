package ask

import (
	"context"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// Receipts answers for what became of the sends of one shard. All of it is as of
// now, or of later. Any number may ask at once.
type Receipts interface {
	// Counters are those of a send; nil where it was not opened, or so long ago that
	// they were forgotten.
	Counters(context.Context, tocsin.SendID) (*record.Counters, error)

	// Trace is the story of the push to an ordinal; nil when the send was not opened
	// here or the ordinal is not in its audience.
	Trace(ctx context.Context, send tocsin.SendID, ordinal uint32) (*Trace, error)

	// Outcomes calls each for every push of a send that is closed here and saved, in
	// cutting order, until it returns false. It is false when there is no such send.
	Outcomes(ctx context.Context, send tocsin.SendID, each func(Outcome) bool) (bool, error)

	// Reached tells who got a push of a send, as ordinals. Nobody changes the rows.
	Reached(ctx context.Context, project tocsin.ProjectID, send tocsin.SendID) (*index.Rows, error)
}

// Trace is the story of one push.
type Trace struct {
	Page, Index int
	Provider    tocsin.Provider // that the page leaves through
	Attempts    []Attempt
	State       ledger.State // an outcome, or where it stands
	Reason      tocsin.Reason
	Doubt       bool
}

// Attempt is one claim of the push and how it ended.
type Attempt struct {
	Number    int // from 1; the same again after a release or a takeover
	Claimed   time.Time
	Settled   time.Time     // zero: not settled
	Result    ledger.Result // 0: not settled
	Reason    tocsin.Reason
	Doubt     bool      // bytes may have left, and no answer came
	TakenOver time.Time // the owner was superseded before it settled; zero: not
	NotBefore time.Time // of Later
	Written   time.Time // return of the last Write of the claim; zero: none
}

// Outcome is how one push of a closed send ended.
type Outcome struct {
	Ordinal  uint32
	Provider tocsin.Provider
	Outcome  tocsin.Outcome
	Reason   tocsin.Reason
	Doubt    bool
	Attempt  int // the last one; 0 when none was claimed
}

// Share is the part of a target on one route. The credential is that which the
// subscriptions name; zero: the project's.
type Share struct {
	Route  provider.Route
	Pushes uint64
}
