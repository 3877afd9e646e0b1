package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// A lane runs as many as it may, lets some wait for a while, and refuses the others
// with the time to come back.
func TestLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := newLane(2, 3, 4, 10*time.Second), tocsin.ProjectID{1}, tocsin.ProjectID{2}
		refused := func(err error, status int) {
			t.Helper()
			var f failure
			if !errors.As(err, &f) || f.Status != status || f.RetryAfter <= 0 {
				t.Errorf("%v, want %d with a time", err, status)
			}
		}
		for range 2 {
			if err := l.enter(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
		var in, late, gone atomic.Int32
		left, leave := context.WithCancel(t.Context())
		for i := range 3 {
			ctx, project := t.Context(), a
			if i == 2 {
				ctx, project = left, b
			}
			go func() {
				switch err := l.enter(ctx, project); {
				case err == nil:
					in.Add(1)
				case errors.Is(err, context.Canceled):
					gone.Add(1)
				default:
					late.Add(1)
					refused(err, http.StatusServiceUnavailable)
				}
			}()
		}
		synctest.Wait()
		refused(l.enter(t.Context(), a), http.StatusTooManyRequests)    // its fifth
		refused(l.enter(t.Context(), b), http.StatusServiceUnavailable) // three wait
		leave()
		synctest.Wait()
		l.leave(a)
		synctest.Wait()
		if in.Load() != 1 || gone.Load() != 1 {
			t.Errorf("%d are in, %d have gone", in.Load(), gone.Load())
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if late.Load() != 1 {
			t.Errorf("%d were told that their turn did not come", late.Load())
		}
		l.leave(a)
		l.leave(a)
		if len(l.count) != 0 || l.waiting != 0 || len(l.running) != 0 {
			t.Errorf("something is left: %+v", l)
		}
	})
}

// crowded is a project with people whose addresses all differ.
func (w *world) crowd(n int) (*client.Client, client.Project) {
	p, c := w.newProject("crowd")
	var b client.Batch
	for i := range n {
		b.Subscriptions = append(b.Subscriptions, client.Subscription{Provider: tocsin.FCM, Token: fmt.Sprintf("token-%s-%d", p.ID, i), Attributes: map[string]client.Value{
			"mail": client.TextValue(fmt.Sprintf("m%d@example.org", i)), "n": client.IntegerValue(int64(i))}})
	}
	done, err := c.PutSubscriptions(w.t.Context(), b)
	if err != nil || len(done.Errors) > 0 {
		w.t.Fatal(err, done.Errors)
	}
	if all, err := c.Count(w.t.Context(), client.Target{Query: json.RawMessage(`{}`)}); err != nil || all.Count != int64(n) {
		w.t.Fatal(all, err)
	}
	return c, p
}

func lots(n int, one string) string {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = strings.ReplaceAll(one, "#", fmt.Sprint(i))
	}
	return strings.Join(parts, ",")
}

// What the language allows is answered, however deep, wide or long; one step more
// is refused, and so is what would cost too much, before it is run.
func TestHostileTargets(t *testing.T) {
	w := newWorld(t)
	c, _ := w.crowd(3000)
	deep := func(levels int) string {
		return strings.Repeat(`{"$not":`, levels) + `{"n":{"$gte":0}}` + strings.Repeat("}", levels)
	}
	for name, text := range map[string]string{
		"deepest":      deep(12),
		"widest":       `{"$or":[` + lots(256, `{"n":#}`) + `]}`,
		"prefixes":     `{"$or":[` + lots(256, `{"mail":{"$startsWith":"m#"}}`) + `]}`,
		"values":       `{"mail":{"$in":[` + lots(10_000, `"m#@example.org"`) + `]}}`,
		"other values": `{"$not":{"n":{"$in":[` + lots(10_000, `#`) + `]}}}`,
		"days":         `{"$or":[` + lots(256, `{"last_active":{"$between":["today-#d","now"]}}`) + `]}`,
		"versions":     `{"$or":[` + lots(256, `{"mail":{"$version":{"$gte":"#.0"}}}`) + `]}`,
	} {
		aim := client.Target{Query: json.RawMessage(text)}
		counted, err := c.Count(t.Context(), aim)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		explained, err := c.Explain(t.Context(), client.ExplainRequest{Target: aim, Sample: 10})
		if err != nil || explained.Matched != counted.Matched || explained.Reachable != counted.Count {
			t.Errorf("%s: explained %d of %d, counted %+v, %v", name, explained.Matched, explained.Live, counted, err)
		}
	}
	for _, text := range []string{deep(13), `{"$or":[` + lots(257, `{"n":#}`) + `]}`, `{"n":{"$in":[` + lots(10_001, "#") + `]}}`} {
		_, err := c.Count(t.Context(), client.Target{Query: json.RawMessage(text)})
		var p *client.Problem
		if !errors.As(err, &p) || p.Status != 422 || p.Code != "invalid" || !strings.Contains(p.Error(), "at most") {
			t.Errorf("%.40s: %v", text, err)
		}
	}

	w = newWorld(t, func(c *Config, _ *Deps) { c.Dearest = 200 * time.Microsecond })
	c, _ = w.crowd(3000)
	request := hello()
	request.Target.Query = json.RawMessage(`{"$or":[` + lots(256, `{"n":{"$gt":#}}`) + `]}`)
	for name, ask := range map[string]func() error{
		"send":    func() error { _, err := c.Send(t.Context(), request, ""); return err },
		"dry run": func() error { _, err := c.DryRun(t.Context(), request); return err },
		"count":   func() error { _, err := c.Count(t.Context(), request.Target); return err },
		"preview": func() error {
			_, err := c.Preview(t.Context(), client.PreviewRequest{Target: request.Target})
			return err
		},
		"explain": func() error {
			_, err := c.Explain(t.Context(), client.ExplainRequest{Target: request.Target})
			return err
		},
		"verdict": func() error {
			_, err := c.Verdicts(t.Context(), client.VerdictRequest{Target: request.Target, User: "x"})
			return err
		},
	} {
		var p *client.Problem
		if err := ask(); !errors.As(err, &p) || p.Status != 422 || p.Code != "too_dear" || p.Errors[0].Field != "target.query" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A thousand counts at once, of which each is dear: few run, some wait, all others
// are told when to come back; a send is taken meanwhile.
func TestAThousandCounts(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *Deps) { c.Dear = 1 })
	var projects []client.Project
	for range 10 {
		_, p := w.crowd(300)
		projects = append(projects, p)
	}
	aim := client.Target{Query: json.RawMessage(`{"$or":[` + lots(8, `{"mail":{"$startsWith":"m#"}}`) + `]}`)}
	hold := w.server.slow
	for range cap(hold.running) { // nobody gets through
		hold.running <- struct{}{}
	}
	var told [600]atomic.Int32
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			text, _ := json.Marshal(client.CountRequest{Target: aim})
			answer, body := w.raw("POST", "/v1/targets/count", projects[i%len(projects)].Key, string(text))
			told[answer.StatusCode].Add(1)
			if answer.StatusCode != 200 && (answer.Header.Get("Retry-After") == "" || !strings.Contains(body, `"code"`)) {
				t.Errorf("%d %v %s", answer.StatusCode, answer.Header, body)
			}
		})
	}
	for waiting := 0; waiting < slowQueue; runtime.Gosched() {
		hold.mu.Lock()
		waiting = hold.waiting
		hold.mu.Unlock()
	}
	if _, err := w.client(projects[0].Key).Send(t.Context(), hello(), ""); err != nil {
		t.Error(err)
	}
	for range cap(hold.running) {
		<-hold.running
	}
	all.Wait()
	if ok := told[200].Load(); ok < slowQueue || told[429].Load() == 0 || ok+told[429].Load()+told[503].Load() != 1000 {
		t.Errorf("%d answered, %d and %d refused", ok, told[429].Load(), told[503].Load())
	}
}
