package audience

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/target"
)

var (
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	news  = tocsin.MakeID[tocsin.ProjectID](noon, [10]byte{1})
	other = tocsin.MakeID[tocsin.ProjectID](noon, [10]byte{2})
	apns  = Route{Provider: tocsin.APNs, Topic: "org.example.app"}
)

func subscription(n int) tocsin.SubscriptionID {
	return tocsin.MakeID[tocsin.SubscriptionID](noon, [10]byte{byte(n >> 16), byte(n >> 8), byte(n)})
}

// world is a shard and its log.
type world struct {
	t      *testing.T
	shard  *Shard
	writer *record.Writer
	pos    uint64
	log    [][]byte
}

func newWorld(t *testing.T) *world {
	return &world{t: t, shard: NewShard(0), writer: record.NewWriter(7)}
}

// apply appends one record to the log of a project and applies it, by way of
// its bytes.
func (w *world) apply(of tocsin.ProjectID, changes ...*record.Change) uint64 {
	w.t.Helper()
	e := w.writer.Next(&record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes}}},
		noon, record.Scope{Project: of, Environment: tocsin.Production})
	data := record.Encode(e)
	w.pos += 3 // positions have gaps
	w.log = append(w.log, data)
	w.again(w.pos, data)
	return w.pos
}

func (w *world) again(pos uint64, data []byte) {
	w.t.Helper()
	e, err := record.Decode(data)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.shard.Apply(pos, e); err != nil {
		w.t.Fatal(err)
	}
}

func upsert(u *record.Upsert) *record.Change {
	return &record.Change{Change: &record.Change_Upsert{Upsert: u}}
}

// phone registers an APNs device whose token is its number.
func phone(n int, more ...func(*record.Upsert)) *record.Change {
	u := &record.Upsert{Subscription: subscription(n).Bytes(), Provider: uint32(tocsin.APNs),
		Address: token(n), Topic: apns.Topic, Active: noon.UnixNano()}
	for _, f := range more {
		f(u)
	}
	return upsert(u)
}

func browser(endpoint string, p256dh, auth []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(endpoint)))
	return slices.Concat(b, []byte(endpoint), p256dh, auth)
}

func token(n int) []byte { return fmt.Appendf(nil, "token %026d", n) }

func with(name, text string) func(*record.Upsert) {
	return func(u *record.Upsert) {
		u.Attributes = append(u.Attributes, &record.Attribute{Name: name, Value: &record.Attribute_Text{Text: text}})
	}
}

func of(user string) func(*record.Upsert) {
	return func(u *record.Upsert) { u.Profile = UserKey(user) }
}

func remove(n int) *record.Change {
	return &record.Change{Change: &record.Change_Delete{Delete: &record.Delete{Subscription: subscription(n).Bytes()}}}
}

func gone(n int, version uint64, at time.Time) *record.Change {
	address := &record.Address{Subscription: subscription(n).Bytes(), Version: version}
	if !at.IsZero() {
		address.At = at.UnixNano()
	}
	return &record.Change{Change: &record.Change_Gone{Gone: address}}
}

func optIn(n int, in bool) *record.Change {
	return &record.Change{Change: &record.Change_OptIn{OptIn: &record.OptIn{Subscription: subscription(n).Bytes(), OptedIn: in}}}
}

func query(t *testing.T, text string) *target.Query {
	t.Helper()
	q, err := target.Parse(target.Default(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// audience returns the numbers of the phones that a send to the query reaches.
func (w *world) audience(text string) []uint32 {
	w.t.Helper()
	var ordinals []uint32
	for _, lot := range evaluated(w.t, w.shard, query(w.t, text)).Lots {
		ordinals = append(ordinals, lot.Ordinals.ToArray()...)
	}
	slices.Sort(ordinals)
	return ordinals
}

func evaluated(t testing.TB, s *Shard, q *target.Query) Audience {
	t.Helper()
	a, err := s.Evaluate(t.Context(), news, q, noon, Cut{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func counted(t *testing.T, s *Shard, q *target.Query) Count {
	t.Helper()
	c, err := s.Count(t.Context(), news, q, noon)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (w *world) expect(text string, want ...uint32) {
	w.t.Helper()
	if got := w.audience(text); !slices.Equal(got, want) {
		w.t.Errorf("%s reaches %v, want %v", text, got, want)
	}
}

func TestRegisterOptOutDelete(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, with("country", "FR")), phone(1, with("country", "DE")), phone(2, with("country", "FR")))
	w.apply(other, phone(0, with("country", "FR")))
	w.expect(`{"country":"FR"}`, 0, 2)
	w.apply(news, optIn(2, false))
	w.expect(`{"country":"FR"}`, 0)
	if c := counted(t, w.shard, query(t, `{"country":"FR"}`)); c != (Count{Matched: 2, Reachable: 1}) {
		t.Error(c)
	}
	w.apply(news, remove(0), optIn(2, true))
	w.expect(`{}`, 1, 2)
	if s, ok := w.shard.Find(news, subscription(0)); !ok || s.Live || s.Address != nil || s.Attributes != nil {
		t.Errorf("deleted one is found as %+v, %v", s, ok)
	}
	// Who comes back has the ordinal of before and nothing else of it.
	w.apply(news, phone(0))
	w.expect(`{}`, 0, 1, 2)
	w.expect(`{"country":"FR"}`, 2)
	// A change to somebody who is not there does nothing.
	w.apply(news, upsert(&record.Upsert{Subscription: subscription(9).Bytes(), Language: "fr"}), remove(9), optIn(9, true))
	w.expect(`{}`, 0, 1, 2)
}

func TestRepeatsAreDropped(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0))
	registration := w.log[0]
	w.apply(news, remove(0))
	w.pos += 3
	w.again(w.pos, registration) // appended twice by a writer that did not know
	w.expect(`{}`)
	if w.shard.Applied() != w.pos+1 {
		t.Error("a repeat holds up the position")
	}
	w.again(3, registration) // read twice
	if w.shard.Applied() != w.pos+1 {
		t.Error("the position went back")
	}
}

func TestOneLiveSubscriptionPerAddress(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0), phone(1))
	w.apply(news, phone(2, func(u *record.Upsert) { u.Address = token(0) }))
	w.expect(`{}`, 1, 2)
	// The same bytes at another provider are another address.
	w.apply(news, phone(3, func(u *record.Upsert) { u.Address = token(1); u.Provider = uint32(tocsin.FCM); u.Topic = "" }))
	w.expect(`{}`, 1, 2, 3)
	// A browser's endpoint is one address, whatever its keys.
	for n, keys := range []string{"first", "second"} {
		w.apply(news, phone(4+n, func(u *record.Upsert) {
			u.Provider, u.Topic, u.Host = uint32(tocsin.WebPush), "", "https://push.example.net"
			u.Address = browser("https://push.example.net/x", []byte(keys), []byte("auth"))
		}))
	}
	w.expect(`{"provider":"webpush"}`, 5)
	// A device that changes its address frees the old one for others.
	w.apply(news, phone(1, func(u *record.Upsert) { u.Address = token(11) }), phone(6, func(u *record.Upsert) { u.Address = token(1) }))
	w.expect(`{"provider":"apns"}`, 1, 2, 6)
}

func TestGoneIsDecidedByVersionAndTime(t *testing.T) {
	w := newWorld(t)
	first := w.apply(news, phone(0))
	second := w.apply(news, phone(0, func(u *record.Upsert) { u.Address = token(100) }))
	w.apply(news, gone(0, first, noon.Add(time.Hour)))
	w.expect(`{}`, 0)
	w.apply(news, gone(0, second, noon.Add(-time.Hour))) // the device brought it later than that
	w.expect(`{}`, 0)
	third := w.apply(news, phone(0, func(u *record.Upsert) { u.Address = token(100); u.Active = noon.Add(time.Minute).UnixNano() }))
	if third == second || w.shard.view(t, 0).Version != third {
		t.Error("a device that vouches for its address again keeps the old version")
	}
	w.apply(news, gone(0, second, time.Time{}))
	w.expect(`{}`, 0)
	// Setting something else is no registration.
	w.apply(news, upsert(&record.Upsert{Subscription: subscription(0).Bytes(), Active: noon.Add(time.Hour).UnixNano(), Language: "fr"}))
	w.apply(news, gone(0, third, noon.Add(2*time.Minute)))
	w.expect(`{}`)
	fourth := w.apply(news, phone(0))
	w.apply(news, gone(0, fourth, time.Time{}))
	w.expect(`{}`)
}

func (s *Shard) view(t *testing.T, n int) ask.Subscription {
	t.Helper()
	v, ok := s.Find(news, subscription(n))
	if !ok {
		t.Fatalf("subscription %d is unknown", n)
	}
	return v
}

func TestProfilesGiveWhatTheyKnow(t *testing.T) {
	w := newWorld(t)
	profile := func(key, name, text string, tags ...string) *record.Change {
		return &record.Change{Change: &record.Change_Profile{Profile: &record.ProfileUpdate{Profile: key,
			Attributes: []*record.Attribute{{Name: name, Value: &record.Attribute_Text{Text: text}}},
			Tags:       []*record.TagSet{{Name: "tags", Add: tags}}}}}
	}
	w.apply(news, profile(UserKey("ann"), "plan", "gold", "sport"))
	w.apply(news, phone(0, of("ann")), phone(1, of("bob")), phone(2, of("ann"), with("plan", "silver")))
	w.expect(`{"plan":"gold"}`, 0)
	w.expect(`{"tags":{"$contains":"sport"}}`, 0, 2)
	w.apply(news, profile(UserKey("ann"), "plan", "lead", "music"))
	w.expect(`{"plan":"lead","tags":{"$contains":"music"}}`, 0, 2)
	// Moved to another person on the same shard, it has what is known of both.
	w.apply(news, phone(1, of("ann")))
	w.expect(`{"plan":"lead"}`, 0, 1, 2)
	if found := w.shard.FindProfile(news, UserKey("ann")); len(found) != 3 || found[0].Profile != UserKey("ann") {
		t.Errorf("ann has %+v", found)
	}
	if found := w.shard.FindProfile(news, UserKey("bob")); len(found) != 0 {
		t.Errorf("bob still has %+v", found)
	}
	w.apply(news, remove(2), phone(3))
	w.apply(news, profile(AnonymousKey(subscription(3)), "plan", "none"))
	w.expect(`{"plan":"none"}`, 3)
	if len(w.shard.FindProfile(news, UserKey("ann"))) != 2 || len(w.shard.FindProfile(news, AnonymousKey(subscription(3)))) != 1 {
		t.Error("profiles do not follow")
	}
}

func TestExplicitRecipients(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, of("ann")), phone(1, of("ann")), phone(2), optIn(1, false))
	a, values := w.shard.Explicit(news, []*record.Recipient{
		{Profile: UserKey("ann"), Values: map[string]string{"code": "1"}},
		{Subscription: subscription(2).Bytes(), Values: map[string]string{"code": "2"}},
		{Subscription: subscription(0).Bytes(), Values: map[string]string{"code": "3"}},
		{Profile: UserKey("nobody")},
		{Subscription: subscription(77).Bytes()},
	}, noon, Cut{})
	if len(a.Lots) != 1 || !slices.Equal(a.Lots[0].Ordinals.ToArray(), []uint32{0, 1, 2}) || a.Unknown != 2 || a.Generation == 0 || a.Applied != w.shard.Applied() {
		t.Errorf("%+v", a)
	}
	if values[0]["code"] != "1" || values[1]["code"] != "1" || values[2]["code"] != "2" {
		t.Error(values)
	}
	if a, _ := w.shard.Explicit(other, []*record.Recipient{{Profile: "u:ann"}}, noon, Cut{}); a.Unknown != 1 || len(a.Lots) != 0 {
		t.Errorf("of a project without anybody: %+v", a)
	}
}

func TestLotsAreInCuttingOrder(t *testing.T) {
	w := newWorld(t)
	seen := func(ago time.Duration) func(*record.Upsert) {
		return func(u *record.Upsert) { u.Active = noon.Add(-ago).UnixNano() }
	}
	const day = 24 * time.Hour
	w.apply(news,
		phone(0, func(u *record.Upsert) { u.Provider = uint32(tocsin.FCM); u.Topic = "" }),
		phone(1, seen(40*day)), phone(2, seen(3*day)), phone(3, func(u *record.Upsert) { u.Active = 0 }), phone(4, seen(20*day)), phone(5, seen(time.Hour)),
		phone(6, func(u *record.Upsert) { u.Topic = "com.example.app" }))
	got := ""
	for _, lot := range evaluated(t, w.shard, nil).Lots {
		got += fmt.Sprintf("%v %s %d %v\n", lot.Provider, lot.Topic, lot.Bucket, lot.Ordinals.ToArray())
	}
	want := "apns com.example.app 0 [6]\napns org.example.app 0 [5]\napns org.example.app 1 [2]\n" +
		"apns org.example.app 2 [4]\napns org.example.app 3 [1 3]\nfcm  0 [0]\n"
	if got != want {
		t.Errorf("lots are\n%swant\n%s", got, want)
	}
}

func TestLoadSeesWhatIsNow(t *testing.T) {
	w := newWorld(t)
	w.apply(news, phone(0, with("name", "Ann"), func(u *record.Upsert) { u.Language = "fr_CA"; u.Secret = []byte("hash") }),
		phone(1), phone(2), phone(3), phone(4))
	version := w.apply(news, remove(1), optIn(2, false), phone(3, func(u *record.Upsert) { u.Topic = "com.example.moved" }),
		phone(4, func(u *record.Upsert) { u.Address = token(44) }))
	var r Recipients
	for range 2 { // buffers are used again
		w.shard.Load(news, apns, []uint32{0, 1, 2, 3, 4, 99}, []string{"name", "language", "nothing"}, &r)
		if !slices.Equal(r.Blocked, []tocsin.Reason{0, tocsin.ReasonErased, tocsin.ReasonOptedOut, tocsin.ReasonErased, 0, tocsin.ReasonErased}) {
			t.Fatal(r.Blocked)
		}
		if r.Applied != w.shard.Applied() {
			t.Errorf("as of %d, want %d", r.Applied, w.shard.Applied())
		}
		if string(r.Addresses[0]) != string(token(0)) || string(r.Addresses[4]) != string(token(44)) || r.Addresses[1] != nil || r.Addresses[3] != nil {
			t.Errorf("addresses %s", r.Addresses)
		}
		if r.Versions[4] != version || r.IDs[4] != subscription(4) || r.Languages[0] != "fr-ca" || r.Languages[4] != "" {
			t.Errorf("%+v", r)
		}
		if v, ok := r.Value(0, "name"); !ok || v != "Ann" {
			t.Error(v, ok)
		}
		if v, ok := r.Value(0, "language"); !ok || v != "fr-ca" {
			t.Error(v, ok)
		}
		if _, ok := r.Value(4, "name"); ok {
			t.Error("a name that somebody else has")
		}
	}
	w.apply(news, phone(5, func(u *record.Upsert) {
		u.Provider, u.Topic, u.Host, u.Address = uint32(tocsin.WebPush), "", "https://push.example.net", browser("https://push.example.net/5", nil, nil)
	}), phone(6, func(u *record.Upsert) {
		u.Provider, u.Topic, u.Host, u.Address = uint32(tocsin.WebPush), "", "https://push.example.net", browser("https://push.example.net/6", nil, nil)
		u.Vapid = slices.Repeat([]byte{1}, 16)
	}))
	w.shard.Load(news, Route{Provider: tocsin.WebPush, Host: "https://push.example.net", Vapid: tocsin.CredentialID{2}}, []uint32{5, 6}, nil, &r)
	if !slices.Equal(r.Blocked, []tocsin.Reason{0, tocsin.ReasonErased}) {
		t.Errorf("with another key than they subscribed with: %v", r.Blocked)
	}
	if s := w.shard.view(t, 0); string(s.Secret) != "hash" {
		t.Errorf("secret %q", s.Secret)
	}
}

func TestRecordsThatAreNotChanges(t *testing.T) {
	for what, e := range map[string]*record.Envelope{
		"another kind": {Project: news.Bytes(), Body: &record.Envelope_Recycle{Recycle: &record.Recycle{}}},
		"no project":   {Body: &record.Envelope_Changes{Changes: &record.Changes{}}},
		"half an identifier": {Project: news.Bytes(), Body: &record.Envelope_Changes{Changes: &record.Changes{
			Changes: []*record.Change{phone(0), upsert(&record.Upsert{Subscription: []byte("short")})}}}},
		"an unknown provider": {Project: news.Bytes(), Body: &record.Envelope_Changes{Changes: &record.Changes{
			Changes: []*record.Change{phone(0, func(u *record.Upsert) { u.Provider = 9 })}}}},
	} {
		s := NewShard(0)
		if s.Apply(3, e) == nil {
			t.Errorf("%s is applied", what)
		}
		if c := counted(t, s, nil); c.Matched != 0 || s.Applied() != 0 {
			t.Errorf("%s is applied in part", what)
		}
	}
}

func TestAwait(t *testing.T) {
	w := newWorld(t)
	done := make(chan error)
	go func() { done <- w.shard.Await(t.Context(), 4) }()
	w.apply(news, phone(0)) // at 3
	if err := <-done; err != nil {
		t.Error(err)
	}
	go func() { done <- w.shard.Await(t.Context(), 10) }()
	w.shard.Advance(10) // nothing stood there
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestPreview(t *testing.T) {
	w := newWorld(t)
	for n := range 10 {
		w.apply(news, phone(n, with("country", "FR")))
	}
	w.apply(news, optIn(3, false))
	sample, err := w.shard.Preview(t.Context(), news, query(t, `{"country":"FR"}`), 3, noon)
	if err != nil || len(sample) != 3 || sample[2].ID != subscription(2) ||
		sample[0].Attributes["country"].Text != "FR" || !sample[0].OptedIn || sample[0].Active != noon {
		t.Errorf("%+v %v", sample, err)
	}
	if hex.EncodeToString(sample[0].Address) != hex.EncodeToString(token(0)) {
		t.Error("address")
	}
}
