package client

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
)

// SendRequest asks for one send, now or at a time.
type SendRequest struct {
	Name    string       `json:"name,omitempty" maxLength:"100"`
	Class   tocsin.Class `json:"class,omitzero" doc:"normal when absent"`
	Target  Target       `json:"target"`
	Message Message      `json:"message"`
	At      *time.Time   `json:"at,omitempty" doc:"When it is due, at most a year ahead; at once when absent"`
	Rate    int          `json:"rate,omitempty" minimum:"1" maximum:"1000000000" doc:"Pushes a minute at most; as fast as possible when absent. It can be changed while the send runs"`
}

// SendUpdate changes how fast a send goes, from now on. What is absent stays.
type SendUpdate struct {
	Rate   Rate  `json:"rate,omitzero"`
	Paused *bool `json:"paused,omitempty" doc:"A paused send stands still until it is resumed, cancelled or past its time to live"`
}

// Rate is a change of a send's rate. In JSON it is a number, or null for as
// fast as possible.
type Rate struct {
	Given     bool
	PerMinute int // pushes; 0 as fast as possible
}

// AtMost is a rate of so many pushes a minute; 0 is as fast as possible.
func AtMost(perMinute int) Rate { return Rate{true, perMinute} }

// IsZero reports that the rate stays as it is.
func (r Rate) IsZero() bool { return !r.Given }

// MarshalJSON writes null for as fast as possible.
func (r Rate) MarshalJSON() ([]byte, error) {
	if r.PerMinute == 0 {
		return []byte("null"), nil
	}
	return strconv.AppendInt(nil, int64(r.PerMinute), 10), nil
}

// UnmarshalJSON is called for what is there, null included.
func (r *Rate) UnmarshalJSON(text []byte) error {
	*r = Rate{Given: true}
	if string(text) == "null" {
		return nil
	}
	return json.Unmarshal(text, &r.PerMinute)
}

// Send is one execution of a message on a target.
type Send struct {
	ID          tocsin.SendID      `json:"id"`
	Name        string             `json:"name,omitempty"`
	Environment tocsin.Environment `json:"environment"`
	Class       tocsin.Class       `json:"class"`
	Status      SendStatus         `json:"status"`
	AcceptedAt  time.Time          `json:"accepted_at"`
	DueAt       time.Time          `json:"due_at"`
	FinishedAt  time.Time          `json:"finished_at,omitzero"`
	Rate        int                `json:"rate,omitempty" doc:"Pushes a minute at most, as a client has chosen; absent: as fast as possible"`
	Paused      bool               `json:"paused,omitempty" doc:"It stands still until a client resumes it"`
	SteeredAt   time.Time          `json:"steered_at,omitzero" doc:"When rate or paused was changed last; absent: never since it was accepted"`
	Forgotten   bool               `json:"forgotten,omitempty" doc:"It is so old that its counters and traces are not kept any more, or only in part"`
	Counters    *Counters          `json:"counters,omitempty" doc:"Absent in lists, and when they are not kept any more"`
	Drift       *Drift             `json:"drift,omitempty" doc:"Absent before the first push left, and in lists"`
	Forecast    *Forecast          `json:"forecast,omitempty" doc:"As it was when the send was accepted; absent for up to 1,024 explicit recipients, and when it was not there in time"`
}

// Forecast is what was expected of a send before it began. Drifts are in
// milliseconds, as those of Drift.
type Forecast struct {
	Audience []Reach  `json:"audience" doc:"By provider"`
	Pushes   int64    `json:"pushes"`
	Partial  bool     `json:"partial,omitempty" doc:"Not all of the audience could be counted in time: the rest is estimated"`
	First    float64  `json:"first"`
	P99      float64  `json:"p99"`
	Last     float64  `json:"last"`
	Reason   string   `json:"reason" enum:"ours,quota,latency,rate" doc:"What most of the last one's drift is owed to: this node, the provider's quota, the time that it takes to answer, or the send's own rate"`
	Error    *float64 `json:"error,omitempty" doc:"Once the send has ended: by how much the last push came later than expected, as a part of its drift. Absent after its rate was changed or it was paused"`
}

// Reach is how many pushes go out over a provider.
type Reach struct {
	Provider tocsin.Provider `json:"provider"`
	Pushes   int64           `json:"pushes"`
}

// SendStatus is where a send stands.
type SendStatus string

const (
	SendScheduled SendStatus = "scheduled" // waits for its time
	SendAccepted  SendStatus = "accepted"  // durable; not every shard has stored its audience yet
	SendSending   SendStatus = "sending"   // the whole audience is stored, pushes leave
	SendFinished  SendStatus = "finished"  // every push has its outcome
	SendCancelled SendStatus = "cancelled" // as finished, after a cancel
	SendDryRun    SendStatus = "dry_run"   // not made: this is what would be
)

// Ended reports whether nothing will change any more.
func (s SendStatus) Ended() bool { return s == SendFinished || s == SendCancelled }

// Counters account for every push of a send. Audience is the sum of the seven
// outcomes and Pending.
type Counters struct {
	Audience   int64 `json:"audience"`
	Pending    int64 `json:"pending" doc:"Without outcome yet, those that wait for a retry included"`
	Accepted   int64 `json:"accepted" doc:"Taken by the provider"`
	Gone       int64 `json:"gone" doc:"Dead addresses, dropped"`
	Refused    int64 `json:"refused" doc:"Refused for good by the provider or a limit"`
	Expired    int64 `json:"expired" doc:"Time to live ran out"`
	Suppressed int64 `json:"suppressed" doc:"Opted out or erased before it left"`
	Cancelled  int64 `json:"cancelled"`
	InDoubt    int64 `json:"in_doubt" doc:"May have been taken, and must not be sent again"`
	Doubtful   int64 `json:"doubtful" doc:"Marked, beside their outcome: the provider may have accepted them more often than the outcome says"`
	Retried    int64 `json:"retried" doc:"Attempts beyond the first, over all pushes"`
	Later      int64 `json:"later" doc:"Of the pending: waiting for a retry now"`
	Unknown    int64 `json:"unknown" doc:"Explicit recipients that nobody knows; not in the audience"`

	Reasons map[string]int64 `json:"reasons,omitempty" doc:"Refused and suppressed by reason"`
}

// Drift is the time from when a send was due until its pushes left, in
// milliseconds.
type Drift struct {
	First     float64 `json:"first"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	Last      float64 `json:"last"`
	QuotaWait float64 `json:"quota_wait" doc:"Part of the last one's drift that was waiting for the provider's quota, the client's own rate and pauses"`
}

// Sends is one page of sends, newest first.
type Sends struct {
	Sends []Send `json:"sends"`
	Next  string `json:"next,omitempty" doc:"Give it as before to read the next page; absent on the last"`
}

// Trace is what became of one subscription in one send.
type Trace struct {
	Send         tocsin.SendID         `json:"send"`
	Subscription tocsin.SubscriptionID `json:"subscription"`
	Targeted     bool                  `json:"targeted" doc:"Whether it is in the stored audience"`
	Outcome      tocsin.Outcome        `json:"outcome,omitzero" doc:"Absent while it is pending, and when it was not targeted"`
	Reason       tocsin.Reason         `json:"reason,omitzero"`
	Doubtful     bool                  `json:"doubtful,omitempty" doc:"The provider may have accepted it more often than the outcome says"`
	Provider     tocsin.Provider       `json:"provider,omitzero"`
	Shard        int                   `json:"shard"`
	Page         *int                  `json:"page,omitempty" doc:"From 0; absent when it was not targeted"`
	Attempts     []Attempt             `json:"attempts,omitempty"`
	Explanation  string                `json:"explanation" doc:"The same in a sentence"`
	Verdict      *Verdict              `json:"verdict,omitempty" doc:"What the target says of the subscription for the instant at which the send was due, by what is known of it now: the audience was stored then, and stays as it was. Absent for explicit recipients, for deleted subscriptions, and 31 days after the send"`
}

// RecipientOutcome is how one push of a send ended.
type RecipientOutcome struct {
	Subscription tocsin.SubscriptionID `json:"subscription"`
	User         string                `json:"user,omitempty" doc:"Absent for an anonymous one, and for one that is deleted"`
	Provider     tocsin.Provider       `json:"provider"`
	Outcome      tocsin.Outcome        `json:"outcome"`
	Reason       tocsin.Reason         `json:"reason,omitzero"`
	Doubtful     bool                  `json:"doubtful,omitempty" doc:"The provider may have accepted it more often than the outcome says"`
	Attempts     int                   `json:"attempts,omitempty" doc:"The last one; absent when it was never claimed"`
}

// Attempt is one claim of a push and what it led to.
type Attempt struct {
	Number    int           `json:"number" doc:"From 1"`
	ClaimedAt time.Time     `json:"claimed_at,omitzero"`
	WrittenAt time.Time     `json:"written_at,omitzero" doc:"When the last bytes of its range left"`
	SettledAt time.Time     `json:"settled_at,omitzero"`
	Result    string        `json:"result" doc:"An outcome, later, released, under way, or taken over where the node stopped before the answer"`
	Reason    tocsin.Reason `json:"reason,omitzero"`
	NotBefore time.Time     `json:"not_before,omitzero" doc:"When the next attempt may be made"`
}

// Count answers how many subscriptions a target has now.
type Count struct {
	Count   int64 `json:"count" doc:"Matching and opted in: those a send goes to. Of explicit recipients, all that are known"`
	Matched int64 `json:"matched" doc:"Matching, those who opted out included"`
	Unknown int64 `json:"unknown,omitempty" doc:"Explicit recipients that nobody knows"`

	Hints []string `json:"hints,omitempty" doc:"Names that no subscription has a value for, with the ones that may have been meant"`
}

// PreviewRequest asks for a message as some of its recipients would get it.
type PreviewRequest struct {
	Target  Target   `json:"target"`
	Message *Message `json:"message,omitempty" doc:"Rendered for each when given"`
	Limit   int      `json:"limit,omitempty" minimum:"0" maximum:"100" doc:"0 is 10"`
}

// CountRequest asks for the size of a target.
type CountRequest struct {
	Target Target `json:"target"`
}

// Preview is a sample of a target.
type Preview struct {
	Count      int64              `json:"count"`
	Recipients []PreviewRecipient `json:"recipients"`
}

// PreviewRecipient is one of the sample, without its address.
type PreviewRecipient struct {
	Subscription tocsin.SubscriptionID `json:"subscription"`
	User         string                `json:"user,omitempty"`
	Provider     tocsin.Provider       `json:"provider"`
	Language     string                `json:"language,omitempty"`
	Zone         string                `json:"zone,omitempty"`
	OptedIn      bool                  `json:"opted_in"`
	Payload      string                `json:"payload,omitempty" doc:"Rendered payload, an object; over fcm the message without its token"`
	Error        string                `json:"error,omitempty" doc:"Why it cannot be rendered"`
}
