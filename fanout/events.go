package fanout

import (
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/journal"
	"github.com/tocsin-push/tocsin/ledger"
	"github.com/tocsin-push/tocsin/pace"
	"github.com/tocsin-push/tocsin/provider"
	"github.com/tocsin-push/tocsin/record"
)

// Record is one decoded record of a log and where it stands.
type Record = journal.Entry

// ClaimRef names a claim in force.
type ClaimRef struct {
	Term, Seq uint64
}

// Event is what happened to a machine.
type Event interface{ event() }

type (
	// Assigned gives the shard to the machine, with the fold of the newest
	// snapshot of its ledger (ledger.New() without one), which it keeps. It
	// comes first, and again after Trimmed.
	Assigned struct{ Fold *ledger.Fold }

	// Trimmed says that the ledger cannot be followed: ErrTrimmed. The claims
	// are dropped; Assigned with a newer snapshot must follow.
	Trimmed struct{}

	// Leave asks for a clean end: nothing new is claimed, what is claimed is
	// settled or released. Stopped follows.
	Leave struct{}

	// Revoked says that the shard is no longer assigned. Everything stops at
	// once, without a word in the ledger. Stopped follows.
	Revoked struct{}

	// LedgerRead brings the next records of the ledger, in order, each once.
	LedgerRead struct{ Records []Record }

	// CaughtUp answers CatchUp: every record below the end of the ledger, as
	// asked for after the CatchUp, was brought by LedgerRead before.
	CaughtUp struct{}

	// SlicesRead answers ReadSlices with at least one record, in order.
	SlicesRead struct {
		Records []Record
		Next    uint64 // to read next
	}

	// SliceFetched answers FetchSlice; Envelope is nil when the slice is kept no
	// more. It holds recipients that stood in the store.
	SliceFetched struct {
		Position uint64
		Envelope *record.Envelope
	}

	// Applied says that the audience has applied all changes below a position.
	Applied struct{ Changes uint64 }

	// Evaluated answers Evaluate: the exact audience in cutting order. A target
	// that cannot be evaluated has no lots.
	Evaluated struct {
		Slice      uint64
		Generation uint64
		Changes    uint64        // applied when it was evaluated, or later
		Lots       []*record.Lot // each at most Config.Chunk bytes of ordinals
		Unknown    uint64
		Content    *record.Envelope // the slice with its recipients, where they stood in the store; nil: as it was
	}

	// Appended answers Append: every record of it is durable.
	Appended struct{}

	// AppendFailed answers Append: any of its records may be in the log, or
	// come to be there.
	AppendFailed struct{}

	// Granted comes from pace.
	Granted struct{ Grant pace.Grant }

	// Quiet comes from pace: the provider asked that nothing leaves on a route
	// before an instant.
	Quiet struct {
		Route provider.Route
		Until time.Time
	}

	// Answered ends a Deliver.
	Answered struct {
		Claim   ClaimRef
		Answers []Answer // in push order, covering the range
		Gone    []*record.Address
		First   time.Time // first and last Write of a push; zero when nothing was written
		Last    time.Time
		Version uint64           // of the credential that they left with; 0: none left
		Written []*record.Bucket // drift of every push written
		Decided []*record.Bucket // drift of those whose outcome is in Answers, when others were written too
		Jitter  float64          // drawn by the shell, 0 up to 1
	}

	// Tick says that time has passed.
	Tick struct{}
)

// Answer is what became of a run of pushes. Either Result comes from the
// provider, or Outcome was decided before anything was written (suppressed,
// refused, expired).
type Answer struct {
	Count      int
	Result     provider.Result
	Outcome    tocsin.Outcome
	Reason     tocsin.Reason
	Scope      provider.Scope
	RetryAfter time.Duration
}

func (Assigned) event()     {}
func (Trimmed) event()      {}
func (Leave) event()        {}
func (Revoked) event()      {}
func (LedgerRead) event()   {}
func (CaughtUp) event()     {}
func (SlicesRead) event()   {}
func (SliceFetched) event() {}
func (Applied) event()      {}
func (Evaluated) event()    {}
func (Appended) event()     {}
func (AppendFailed) event() {}
func (Granted) event()      {}
func (Quiet) event()        {}
func (Answered) event()     {}
func (Tick) event()         {}

// Effect is what a machine wants done.
type Effect interface{ effect() }

type (
	// Follow starts reading the ledger at a position and goes on for ever. A
	// second Follow replaces the first.
	Follow struct{ From uint64 }

	// CatchUp asks for the end of the ledger now, and for CaughtUp.
	CatchUp struct{}

	// ReadSlices asks once for records of slices from a position on. At most
	// one is under way.
	ReadSlices struct{ From uint64 }

	// FetchSlice asks for the one record at a position of slices.
	FetchSlice struct{ Position uint64 }

	// Evaluate asks for the audience of a slice, now. Several may be under way.
	Evaluate struct {
		Position uint64
		Envelope *record.Envelope
	}

	// Append adds records to the ledger in this order. One is under way at a
	// time; it is answered once, by Appended or AppendFailed.
	Append struct{ Records []*record.Envelope }

	// Pace goes to pace. Subjects are empty: the shell fills them in.
	Pace struct{ Event pace.Event }

	// Deliver lets a range leave: its claim was read back in force. Eligibility
	// is looked at now, at or above the claim's position of changes. Nothing is
	// begun at or after the send's expiry. Answered must follow, once.
	Deliver struct {
		Claim   ClaimRef
		Send    *ledger.Send // for its data, in this call only
		Slice   uint64
		Content *record.Envelope // the slice: message, options
		Route   provider.Route
		Page    int
		Span    ledger.Span
		Attempt int
		Last    bool // an answer that is lost decides these pushes
	}

	// Halt stops a Deliver: what was not written stays so. It is still answered.
	Halt struct{ Claim ClaimRef }

	// Forget says that a send is closed here: what the shell keeps of its
	// content can go.
	Forget struct{ Slice uint64 }

	// Wake asks for a Tick at an instant; the last one asked counts.
	Wake struct{ At time.Time }

	// Stopped is the last effect. Clean means that nothing was left claimed.
	Stopped struct{ Clean bool }
)

func (Follow) effect()     {}
func (CatchUp) effect()    {}
func (ReadSlices) effect() {}
func (FetchSlice) effect() {}
func (Evaluate) effect()   {}
func (Append) effect()     {}
func (Pace) effect()       {}
func (Deliver) effect()    {}
func (Halt) effect()       {}
func (Forget) effect()     {}
func (Wake) effect()       {}
func (Stopped) effect()    {}
