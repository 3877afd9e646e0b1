package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/content"
	"github.com/tocsin-push/tocsin/sim"
)

func news(class tocsin.Class, text string) client.SendRequest {
	return client.SendRequest{Class: class, Target: client.Target{Query: json.RawMessage(`{}`)},
		Message: client.Message{Fallback: "en", Languages: map[string]client.Content{
			"en": {Title: "Election night", Body: text}, "fr": {Title: "Soirée électorale", Body: text}}}}
}

// warm sends one push to one subscription of each provider in every project,
// so that connections are up and tokens cached.
func (e *election) warm() error {
	return e.each(func(n int) error {
		room := &e.rooms[n]
		request := news(tocsin.Urgent, "Polls are open")
		sample, err := room.api.Preview(e.ctx, client.PreviewRequest{Target: request.Target, Limit: 10})
		if err != nil {
			return err
		}
		request.Target = client.Target{}
		seen := map[tocsin.Provider]bool{}
		for _, r := range sample.Recipients {
			if !seen[r.Provider] {
				seen[r.Provider] = true
				request.Target.Recipients = append(request.Target.Recipients, client.Recipient{Subscription: r.Subscription})
			}
		}
		made, err := room.api.Send(e.ctx, request, "")
		if err != nil {
			return err
		}
		for _, err := range room.api.WatchSend(e.ctx, made.ID) {
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *election) each(do func(n int) error) error {
	var group errgroup.Group
	for n := range e.rooms {
		group.Go(func() error { return do(n) })
	}
	return group.Wait()
}

// electionNight lets all newsrooms send at once and shows them until every
// push has its outcome.
func (e *election) electionNight() ([]row, error) {
	drawing := &table{out: e.err, overdraw: terminal(e.err), began: time.Now()}
	if err := e.each(func(n int) error {
		made, err := e.rooms[n].api.Send(e.ctx, news(tocsin.Urgent, "First results"), "")
		if err == nil {
			e.rooms[n].send = made.ID
		}
		return err
	}); err != nil {
		return nil, err
	}
	rows := make([]row, len(e.rooms))
	for tick := time.NewTicker(500 * time.Millisecond); ; {
		ended := true
		for n, room := range e.rooms {
			if rows[n].Send != nil && rows[n].Send.Status.Ended() {
				continue
			}
			now, err := room.api.GetSend(e.ctx, room.send)
			if err != nil {
				return nil, err
			}
			rows[n] = row{Project: room.project.Name, Size: room.size, Send: &now}
			ended = ended && now.Status.Ended()
		}
		if drawing.overdraw || ended {
			drawing.draw(rows)
		}
		if ended {
			tick.Stop()
			return rows, nil
		}
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			return nil, e.ctx.Err()
		}
	}
}

// judge compares each send's account with itself and with what the providers
// say that they received.
func (e *election) judge(rows []row) error {
	for n, room := range e.rooms {
		c := rows[n].Send.Counters
		if sum := c.Accepted + c.Gone + c.Refused + c.Expired + c.Suppressed + c.Cancelled + c.InDoubt; sum != c.Audience || c.Pending != 0 {
			return fmt.Errorf("%s: audience %d, outcomes %d, pending %d: the account does not balance", room.project.Name, c.Audience, sum, c.Pending)
		}
		theirs, err := e.ledger(content.Collapse(room.project.ID, room.send))
		if err != nil {
			return err
		}
		var accepted, twice, gone int64
		for _, account := range theirs {
			accepted += int64(account.Accepted)
			twice += int64(account.Repeated)
			gone += int64(account.Answers["410"] + account.Answers["404"])
		}
		if accepted != c.Accepted || gone != c.Gone || twice != 0 {
			return fmt.Errorf("%s: we say accepted %d, gone %d; the providers say accepted %d, gone %d, accepted twice %d",
				room.project.Name, c.Accepted, c.Gone, accepted, gone, twice)
		}
	}
	return nil
}

// ledger asks the simulated providers what they received of one send.
func (e *election) ledger(tag string) (accounts map[tocsin.Provider]sim.Account, err error) {
	answer, err := http.Get(e.setup.Control + "/ledger?send=" + url.QueryEscape(tag))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return accounts, json.NewDecoder(answer.Body).Decode(&accounts)
}

func (e *election) write(report figures) error {
	if e.JSON == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(e.JSON, append(text, '\n'), 0o644)
}

// invite prints what a person can try while the demo stays up.
func (e *election) invite() {
	room := e.rooms[0]
	fmt.Fprintf(e.out, `
The node stays up until Ctrl-C; its folder is removed then. Try:

  curl -s %[1]s/v1/sends/%[2]s -H "Authorization: Bearer %[3]s"
  curl -s %[1]s/v1/targets/count -H "Authorization: Bearer %[3]s" -H "Content-Type: application/json" \
    -d '{"target":{"query":{"country":"FR","language":"fr"}}}'
  curl -s %[1]s/v1/sends -H "Authorization: Bearer %[3]s" -H "Content-Type: application/json" \
    -d '{"target":{"query":{"country":"FR"}},"message":{"languages":{"fr":{"title":"Bonjour"}}}}'
`, e.url, room.send, room.project.Key)
}
