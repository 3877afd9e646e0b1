package cli

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// aim is a target on the command line.
type aim struct {
	Query string   `help:"Target, as JSON or a file of it; {} is everybody." placeholder:"JSON"`
	User  []string `help:"Explicit users." placeholder:"ID"`
}

func (a *aim) target() (t client.Target, err error) {
	switch {
	case a.Query != "" && len(a.User) > 0 || a.Query == "" && len(a.User) == 0:
		return t, fmt.Errorf("%w: give either --query or --user; --query '{}' is everybody", errUsage)
	case a.Query != "":
		return t, readJSON(a.Query, &t.Query)
	}
	for _, user := range a.User {
		t.Recipients = append(t.Recipients, client.Recipient{User: user})
	}
	return t, nil
}

type count struct {
	remote
	aim
}

func (c *count) Run(s *session) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.Count(s.ctx, target)
	if err != nil {
		return err
	}
	for _, hint := range found.Hints {
		fmt.Fprintln(s.err, hint)
	}
	return c.print(s, found, func(w io.Writer) { fmt.Fprintln(w, found.Count) })
}

type send struct {
	remote
	aim
	Title    string       `help:"Title; may hold outputs such as {{ first_name }}."`
	Body     string       `help:"Text."`
	Language string       `help:"Language of title and text." default:"en"`
	Link     string       `help:"Opened by a tap."`
	Class    tocsin.Class `help:"urgent, transactional or normal." default:"normal"`
	At       *time.Time   `help:"When it is due (RFC 3339); at once when absent."`
	Rate     int          `help:"Pushes a minute at most; as fast as possible when absent."`
	DryRun   bool         `help:"Check it and tell what is to be expected; nothing is sent."`
	Request  string       `help:"Whole request as JSON or a file of it, in place of the other flags." placeholder:"JSON"`
	Once     string       `help:"Idempotency key: repeated with the same key, it is one send."`
	Wait     bool         `help:"Follow it until every push has its outcome."`
}

func (c *send) Run(s *session) error {
	var request client.SendRequest
	if c.Request != "" {
		if c.Query != "" || len(c.User) > 0 || c.Title != "" || c.Body != "" || c.Link != "" || c.At != nil || c.Rate != 0 {
			return fmt.Errorf("%w: --request says all of it; give it without target, content, time and rate", errUsage)
		}
		if err := readJSON(c.Request, &request); err != nil {
			return err
		}
	} else {
		target, err := c.target()
		if err != nil {
			return err
		}
		request = client.SendRequest{Class: c.Class, Target: target, At: c.At, Rate: c.Rate, Message: client.Message{Link: c.Link,
			Languages: map[string]client.Content{c.Language: {Title: c.Title, Body: c.Body}}}}
	}
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.DryRun {
		would, err := api.DryRun(s.ctx, request)
		if err != nil {
			return err
		}
		return c.print(s, would, func(w io.Writer) { printForecast(w, would.Forecast) })
	}
	made, err := api.Send(s.ctx, request, c.Once)
	if err != nil {
		return err
	}
	if c.Wait {
		fmt.Fprintf(s.err, "%s is accepted\n", made.ID)
		return c.follow(s, api, made.ID)
	}
	return c.print(s, made, func(w io.Writer) { fmt.Fprintln(w, made.ID) })
}

type status struct {
	remote
	Send tocsin.SendID `arg:"" name:"send-id"`
	Wait bool          `help:"Follow it until every push has its outcome."`
}

func (c *status) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	if c.Wait {
		return c.follow(s, api, c.Send)
	}
	found, err := api.GetSend(s.ctx, c.Send)
	if err != nil {
		return err
	}
	return c.printSend(s, found)
}

// follow shows a bar until the send has ended, then its account.
func (r *remote) follow(s *session, api *client.Client, id tocsin.SendID) error {
	// Its length is known once the audience is: one without is drawn by a
	// goroutine that races with us.
	bar := progressbar.NewOptions64(1, progressbar.OptionSetWriter(s.err), progressbar.OptionSetVisibility(terminal(s.err)), progressbar.OptionShowCount(),
		progressbar.OptionSetDescription("pushes"), progressbar.OptionClearOnFinish())
	var last client.Send
	for now, err := range api.WatchSend(s.ctx, id) {
		if err != nil {
			bar.Clear()
			return &unfinished{err, fmt.Sprintf("The send goes on. Follow it with: tocsin status --wait %s", id)}
		}
		last = now
		if c := now.Counters; c != nil && c.Audience > 0 {
			bar.ChangeMax64(c.Audience)
			bar.Set64(c.Audience - c.Pending)
		}
	}
	bar.Finish()
	return r.printSend(s, last)
}

func (r *remote) printSend(s *session, found client.Send) error {
	return r.print(s, found, func(w io.Writer) {
		fmt.Fprintf(w, "%s  %s%s\n", found.ID, found.Status, steering(found))
		if found.Forgotten {
			fmt.Fprintln(w, "its counters and traces are not kept any more")
		}
		if c := found.Counters; c != nil {
			fmt.Fprintf(w, "audience %d = accepted %d + gone %d + refused %d + expired %d + suppressed %d + cancelled %d + in doubt %d + pending %d\n",
				c.Audience, c.Accepted, c.Gone, c.Refused, c.Expired, c.Suppressed, c.Cancelled, c.InDoubt, c.Pending)
			fmt.Fprintf(w, "doubtful %d, retried %d, unknown %d\n", c.Doubtful, c.Retried, c.Unknown)
		}
		if d := found.Drift; d != nil {
			fmt.Fprintf(w, "drift first %.1f ms, p50 %.1f ms, p99 %.1f ms, last %.1f ms, of that quota wait %.1f ms\n",
				d.First, d.P50, d.P99, d.Last, d.QuotaWait)
		}
		printForecast(w, found.Forecast)
	})
}

func printForecast(w io.Writer, f *client.Forecast) {
	if f == nil {
		return
	}
	fmt.Fprintf(w, "forecast of %d pushes: drift first %.1f ms, p99 %.1f ms, last %.1f ms, mostly for %s", f.Pushes, f.First, f.P99, f.Last, f.Reason)
	if f.Partial {
		fmt.Fprint(w, ", the audience estimated")
	}
	if f.Error != nil {
		fmt.Fprintf(w, "; the last came %+.0f %% of its drift later", 100**f.Error)
	}
	fmt.Fprintln(w)
	for _, r := range f.Audience {
		fmt.Fprintf(w, "  %-8s %d\n", r.Provider, r.Pushes)
	}
}

// steering says how a client lets a send go, if it was ever asked to.
func steering(s client.Send) (text string) {
	if s.Paused {
		text = ", paused"
	}
	if s.Rate > 0 {
		text += fmt.Sprintf(", at most %d a minute", s.Rate)
	}
	if !s.SteeredAt.IsZero() {
		text += " since " + s.SteeredAt.Format(time.RFC3339)
	}
	return text
}

type cancel struct {
	remote
	Send tocsin.SendID `arg:"" name:"send-id"`
}

func (c *cancel) Run(s *session) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	found, err := api.Cancel(s.ctx, c.Send)
	if err != nil {
		return err
	}
	return c.printSend(s, found)
}
