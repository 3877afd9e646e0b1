package ask_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/ask/asktest"
	"github.com/tocsin-push/tocsin/record"
	"github.com/tocsin-push/tocsin/store/mem"
	"github.com/tocsin-push/tocsin/target"
)

// scripted answers one count or one list of outcomes as a test says.
type scripted struct {
	ask.Audience
	ask.Receipts
	count    func(context.Context) (ask.Count, error)
	outcomes func(context.Context, func(ask.Outcome) bool) (bool, error)
}

func (s scripted) Count(ctx context.Context, _ tocsin.ProjectID, _ *target.Query, _ []*record.Recipient, _ time.Time) (ask.Count, error) {
	return s.count(ctx)
}

func (s scripted) Outcomes(ctx context.Context, _ tocsin.SendID, each func(ask.Outcome) bool) (bool, error) {
	return s.outcomes(ctx, each)
}

func counts(n uint64) scripted {
	return scripted{count: func(context.Context) (ask.Count, error) { return ask.Count{Matched: n}, nil }}
}

func count(ctx context.Context, shards ask.Shards, shard tocsin.Shard) (uint64, error) {
	c, err := shards[shard].Count(ctx, tocsin.ProjectID{1}, nil, nil, time.Time{})
	return c.Matched, err
}

// A shard that moves is found where it went, by an asker who knew the old place;
// one that nobody has is named as missing, and the others are counted.
func TestShardsMove(t *testing.T) {
	a, s := asktest.NewAuthority(t), mem.New(time.Now)
	first, second := asktest.NewHome(t, a.Process()), asktest.NewHome(t, a.Process())
	shards := asktest.From(t, s, a.Process())
	for shard := range tocsin.Shard(4) {
		first.Take(t, s, shard, counts(1), nil)
	}
	if n, err := count(t.Context(), shards, 2); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	first.Leave(2)
	second.Take(t, s, 2, counts(10), nil)
	if n, err := count(t.Context(), shards, 2); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	second.Stop()
	q, err := target.Parse(target.Widest(), []byte(`{"country":"FR"}`))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := shards.Count(t.Context(), tocsin.ProjectID{1}, ask.Target{Query: q})
	missing, rest := ask.Missing(err)
	if sum.Matched != 3 || rest != nil || !slices.Equal(missing, []tocsin.Shard{2}) || !strings.Contains(err.Error(), "cannot be reached") {
		t.Fatalf("%+v, %v", sum, err)
	}
	// Who was waited for in vain a moment ago is not waited for again.
	soon, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	var none *ask.Unanswered
	if _, err := count(soon, shards, 2); !errors.As(err, &none) || soon.Err() != nil {
		t.Fatal(err)
	}
}

// An asker who waits no more is noticed by the owner.
func TestCancelReachesTheOwner(t *testing.T) {
	a, s := asktest.NewAuthority(t), mem.New(time.Now)
	h, begun, noticed := asktest.NewHome(t, a.Process()), make(chan struct{}), make(chan struct{})
	h.Take(t, s, 0, scripted{count: func(ctx context.Context) (ask.Count, error) {
		close(begun)
		<-ctx.Done()
		close(noticed)
		return ask.Count{}, ctx.Err()
	}}, nil)
	ctx, stop := context.WithCancel(t.Context())
	go func() { <-begun; stop() }()
	if _, err := count(ctx, asktest.From(t, s, a.Process()), 0); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	<-noticed
}

// The owner is told how long its asker waits.
func TestDeadlineGoesAlong(t *testing.T) {
	a, s := asktest.NewAuthority(t), mem.New(time.Now)
	h := asktest.NewHome(t, a.Process())
	left := make(chan time.Duration, 1)
	h.Take(t, s, 0, scripted{count: func(ctx context.Context) (ask.Count, error) {
		at, _ := ctx.Deadline()
		left <- time.Until(at)
		return ask.Count{}, nil
	}}, nil)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if _, err := count(ctx, asktest.From(t, s, a.Process()), 0); err != nil {
		t.Fatal(err)
	}
	if got := <-left; got <= 0 || got > time.Minute {
		t.Errorf("%v left of a minute", got)
	}
}

// What is cut in its middle is no answer, however much of it came.
func TestAnAnswerThatBreaksOff(t *testing.T) {
	a, s := asktest.NewAuthority(t), mem.New(time.Now)
	h := asktest.NewHome(t, a.Process())
	sent := make(chan struct{})
	h.Take(t, s, 0, nil, scripted{outcomes: func(ctx context.Context, each func(ask.Outcome) bool) (bool, error) {
		for n := range uint32(2048) {
			each(ask.Outcome{Ordinal: n, Provider: tocsin.APNs, Outcome: tocsin.Accepted})
		}
		close(sent)
		<-ctx.Done()
		return false, ctx.Err()
	}})
	got := 0
	go func() { <-sent; h.Stop() }()
	_, err := asktest.From(t, s, a.Process())[0].Outcomes(t.Context(), tocsin.SendID{1}, func(ask.Outcome) bool { got++; return true })
	var none *ask.Unanswered
	if !errors.As(err, &none) || got > 2048 {
		t.Errorf("%d outcomes, %v", got, err)
	}
}

// Only processes of the installation are answered, whatever a request says.
func TestOnlyProcessesAreAnswered(t *testing.T) {
	a, s := asktest.NewAuthority(t), mem.New(time.Now)
	h := asktest.NewHome(t, a.Process())
	h.Take(t, s, 0, counts(1), nil)
	if n, err := count(t.Context(), asktest.From(t, s, a.Process()), 0); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := a.Open("api.example.com"); err == nil {
		t.Error("a process starts with the certificate of something else")
	}
	var none *ask.Unanswered
	if n, err := count(t.Context(), asktest.From(t, s, asktest.NewAuthority(t).Process()), 0); !errors.As(err, &none) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("with a certificate of another installation: %d, %v", n, err)
	}
	pair := func(cert, key string) []tls.Certificate {
		p, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return []tls.Certificate{p}
	}
	for who, shown := range map[string][]tls.Certificate{"nobody": nil, "something of the authority": pair(a.Issue("api.example.com"))} {
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: shown}, ForceAttemptHTTP2: true}}
		r, _ := http.NewRequest(http.MethodPost, "https://"+h.Address+"/v1/audience/0000", strings.NewReader(`{"Kind":"count"}`))
		r.Header.Set("X-Forwarded-Client-Cert", "Subject=\"CN="+ask.ProcessName+"\"")
		r.Header.Set("X-Tocsin-Process", ask.ProcessName)
		if response, err := client.Do(r); err == nil {
			t.Errorf("%s is answered: %s", who, response.Status)
		}
		client.CloseIdleConnections()
	}
}

// A question of another form, or without end, is refused and does no harm.
func TestQuestionsAreBounded(t *testing.T) {
	a, s := asktest.NewAuthority(t), mem.New(time.Now)
	h := asktest.NewHome(t, a.Process())
	h.Take(t, s, 0, waits{counts(1)}, nil)
	cert, key := a.Issue(ask.ProcessName)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{pair}}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	for body, want := range map[string]int{
		strings.Repeat(" ", 16<<20+1): http.StatusRequestEntityTooLarge, "{": http.StatusBadRequest,
		`{"IDs":` + strings.Repeat("[", 20_000): http.StatusBadRequest, `{"Kind":"await"}`: http.StatusOK,
	} {
		response, err := client.Post("https://"+h.Address+"/v1/audience/0", "", bytes.NewReader([]byte(body)))
		if err != nil || response.StatusCode != want {
			t.Errorf("%.20q: %v, %v; want %d", body, response, err, want)
			continue
		}
		response.Body.Close()
	}
	recipient := &record.Recipient{Profile: strings.Repeat("x", 16<<20)}
	if _, err := asktest.From(t, s, a.Process())[0].Count(t.Context(), tocsin.ProjectID{1}, nil, []*record.Recipient{recipient}, time.Time{}); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Error(err)
	}
	for _, kind := range []string{"nothing", "explain"} { // of a newer build; without its query
		response, err := client.Post("https://"+h.Address+"/v1/audience/0", "", strings.NewReader(`{"Kind":"`+kind+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		text.ReadFrom(response.Body)
		response.Body.Close()
		if !strings.Contains(text.String(), "knows no question") {
			t.Errorf("%s: %s", kind, text.String())
		}
	}
}

type waits struct{ scripted }

func (waits) Await(context.Context, uint64) error { return nil }
