package tocsin

import "fmt"

// An enum's zero value means "not set" and has the text form "". Numbers are
// kept in records and never change; new values are added at the end.

func enumText[E ~uint8](names []string, e E) string {
	if int(e) < len(names) {
		return names[e]
	}
	return fmt.Sprintf("unknown-%d", e)
}

func parseEnum[E ~uint8](what string, names []string, text []byte, e *E) error {
	for i, name := range names {
		if name == string(text) {
			*e = E(i)
			return nil
		}
	}
	return fmt.Errorf("unknown %s %.40q: want one of %q", what, text, names[1:])
}

// Environment says what a project's audience is: real people or not.
type Environment uint8

const (
	Production Environment = iota + 1
	Preproduction
	Development
)

var environmentNames = []string{"", "production", "preproduction", "development"}

func (e Environment) String() string               { return enumText(environmentNames, e) }
func (e Environment) MarshalText() ([]byte, error) { return []byte(e.String()), nil }
func (e *Environment) UnmarshalText(b []byte) error {
	return parseEnum("environment", environmentNames, b, e)
}

// Provider is the kind of service a push leaves through.
type Provider uint8

const (
	APNs Provider = iota + 1
	FCM
	WebPush
)

var providerNames = []string{"", "apns", "fcm", "webpush"}

func (p Provider) String() string                { return enumText(providerNames, p) }
func (p Provider) MarshalText() ([]byte, error)  { return []byte(p.String()), nil }
func (p *Provider) UnmarshalText(b []byte) error { return parseEnum("provider", providerNames, b, p) }

// Class orders sends against each other, strictest first. A push of class
// Synthetic (load tests and drills) never leaves the machine.
type Class uint8

const (
	Urgent Class = iota + 1
	Transactional
	Normal
	Synthetic
)

var classNames = []string{"", "urgent", "transactional", "normal", "synthetic"}

func (c Class) String() string                { return enumText(classNames, c) }
func (c Class) MarshalText() ([]byte, error)  { return []byte(c.String()), nil }
func (c *Class) UnmarshalText(b []byte) error { return parseEnum("class", classNames, b, c) }

// OnDoubt says what happens to a push whose bytes may have left unanswered.
type OnDoubt uint8

const (
	Resend OnDoubt = iota + 1 // send again; the doubt mark stays beside the outcome
	Skip                      // never send again; the outcome is InDoubt
)

var onDoubtNames = []string{"", "resend", "skip"}

func (o OnDoubt) String() string                { return enumText(onDoubtNames, o) }
func (o OnDoubt) MarshalText() ([]byte, error)  { return []byte(o.String()), nil }
func (o *OnDoubt) UnmarshalText(b []byte) error { return parseEnum("on_doubt", onDoubtNames, b, o) }

// Outcome is how a push ended. Every recipient of a stored audience gets
// exactly one (law L1).
type Outcome uint8

const (
	Accepted   Outcome = iota + 1 // the provider took it; not proof of display
	Gone                          // the provider says that the address is dead
	Refused                       // the provider or a limit refuses this push for good; has a Reason
	Expired                       // its time to live ran out first
	Suppressed                    // opted out or erased before it left; has a Reason
	Cancelled                     // the send was cancelled before it left
	InDoubt                       // it may have been accepted and must not be sent again
)

// Outcomes lists every outcome, in the order in which reports show them.
var Outcomes = [...]Outcome{Accepted, Gone, Refused, Expired, Suppressed, Cancelled, InDoubt}

var outcomeNames = []string{"", "accepted", "gone", "refused", "expired", "suppressed", "cancelled", "in_doubt"}

func (o Outcome) String() string                { return enumText(outcomeNames, o) }
func (o Outcome) MarshalText() ([]byte, error)  { return []byte(o.String()), nil }
func (o *Outcome) UnmarshalText(b []byte) error { return parseEnum("outcome", outcomeNames, b, o) }

// Reason qualifies an outcome or a wait.
type Reason uint8

const (
	ReasonSize         Reason = iota + 1 // rendered payload over the provider's limit
	ReasonPayload                        // the provider calls the request malformed
	ReasonToken                          // malformed token, or one of another environment
	ReasonTopic                          // token of another app, project or VAPID key
	ReasonOptedOut                       // the person opted out
	ReasonErased                         // the subscription was deleted or its address replaced
	ReasonThrottled                      // the provider asked to slow down (429)
	ReasonUnavailable                    // the provider failed (5xx, connection, time-out)
	ReasonCredential                     // the credential or its configuration is refused
	ReasonUnanswered                     // bytes left, no answer came
	ReasonNotProcessed                   // provably not processed by the provider
	ReasonAttempts                       // the limit of attempts was reached
	ReasonRender                         // the template could not be rendered
	ReasonAddress                        // the address is not one that may be contacted
	ReasonMoved                          // the subscription got a profile of another shard meanwhile: the send may count it there too
)

var reasonNames = []string{"", "size", "payload", "token", "topic", "opted_out", "erased", "throttled", "unavailable",
	"credential", "unanswered", "not_processed", "attempts", "render", "address", "moved"}

func (r Reason) String() string                { return enumText(reasonNames, r) }
func (r Reason) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }
func (r *Reason) UnmarshalText(b []byte) error { return parseEnum("reason", reasonNames, b, r) }
