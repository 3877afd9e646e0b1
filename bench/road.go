package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
)

// RoadRun is one send over the whole road. Times are milliseconds since the
// send was due, which is when the API accepted it.
type RoadRun struct {
	Side
	Drift     client.Drift `json:"drift"`    // as the API tells it
	Answered  float64      `json:"answered"` // the 202 was here
	FirstSeen float64      `json:"first_seen"`
	LastSeen  float64      `json:"last_seen"` // read by the simulator; the rate is up to here
	Finished  float64      `json:"finished"`  // the API says that every push has its outcome
}

// nodeReady is what the node says when it is up.
type nodeReady struct {
	URL          string `json:"url"`
	AdminKeyFile string `json:"admin_key_file"`
}

// road is a node with a stored audience, and the simulator that it sends to.
type road struct {
	*child
	sim        *simulator
	api        *client.Client
	recipients int
}

func startRoad(ctx context.Context, dir string, s *simulator) (*road, error) {
	var up nodeReady
	c, err := startChild(ctx, dir, partNode, []string{filepath.Join(dir, "data")}, &up)
	if err != nil {
		return nil, err
	}
	r := &road{child: c, sim: s}
	if err := r.enter(ctx, up); err != nil {
		return nil, c.failure(errors.Join(err, c.stop()))
	}
	return r, nil
}

// enter creates the project that sends, with our credential of the simulator.
func (r *road) enter(ctx context.Context, up nodeReady) error {
	key, err := os.ReadFile(up.AdminKeyFile)
	if err != nil {
		return err
	}
	admin, err := client.New(client.Config{URL: up.URL, Key: strings.TrimSpace(string(key))})
	if err != nil {
		return err
	}
	request := r.sim.setup.Projects[ourProject]
	request.Credentials = slices.DeleteFunc(slices.Clone(request.Credentials),
		func(c client.CredentialRequest) bool { return c.Provider != tocsin.APNs })
	made, err := admin.CreateProject(ctx, request)
	if err != nil {
		return err
	}
	r.api, err = client.New(client.Config{URL: up.URL, Key: made.Key})
	return err
}

// stepLimit bounds an import and a send.
const stepLimit = 5 * time.Minute

// prepare imports the audience and sends once, so that connections are up.
func (r *road) prepare(ctx context.Context, dir string, recipients int) error {
	r.recipients = recipients
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	stream, err := os.Create(filepath.Join(dir, "audience.ndjson"))
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := writeAudience(stream, recipients); err != nil {
		return err
	}
	begin := time.Now()
	opened, err := r.api.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON})
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	done, err := r.api.Upload(ctx, opened, stream, nil)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if done.Imported != int64(recipients) {
		return fmt.Errorf("import: %d of %d subscriptions, bad lines %v", done.Imported, recipients, done.BadLines)
	}
	taken := time.Since(begin)
	progress("imported %d subscriptions in %.1f s, %.0f a second", recipients, taken.Seconds(), float64(recipients)/taken.Seconds())
	warm, err := r.measure(ctx)
	if err == nil {
		progress("first send: last push after %.0f ms", warm.Drift.Last)
	}
	return err
}

// writeAudience writes one subscription a line.
func writeAudience(w io.Writer, n int) error {
	out := bufio.NewWriterSize(w, 1<<16)
	for i := range n {
		if _, err := fmt.Fprintf(out, `{"user":"reader-%d","provider":"apns","token":"%s","language":"en"}`+"\n", i, deviceToken(i)); err != nil {
			return err
		}
	}
	return out.Flush()
}

// measure sends to everybody and compares the account with the simulator's.
func (r *road) measure(ctx context.Context) (run RoadRun, err error) {
	ctx, stop := context.WithTimeout(ctx, stepLimit)
	defer stop()
	if err := r.sim.reset(ctx); err != nil {
		return run, err
	}
	work, err := startWork(r.pid, r.sim.pid)
	if err != nil {
		return run, err
	}
	made, err := r.api.Send(ctx, news(), "")
	if err != nil {
		return run, err
	}
	answered := time.Now()
	var last client.Send
	for now, err := range r.api.WatchSend(ctx, made.ID) {
		if err != nil {
			return run, err
		}
		last = now
	}
	side, err := work.side(r.recipients, time.Since(answered))
	if err != nil {
		return run, err
	}
	theirs, err := r.sim.arrived(ctx, r.recipients)
	if err != nil {
		return run, err
	}
	if err := balanced(&last, r.recipients); err != nil {
		return run, err
	}
	since := func(t time.Time) float64 { return float64(t.Sub(last.DueAt).Microseconds()) / 1000 }
	side.Rate = float64(r.recipients) / theirs.Last.Sub(answered).Seconds()
	return RoadRun{side, *last.Drift, since(answered), since(*theirs.First), since(*theirs.Last), since(last.FinishedAt)}, nil
}

// balanced checks that all were accepted, once, and that nothing is open.
func balanced(s *client.Send, recipients int) error {
	c := s.Counters
	if s.Status != client.SendFinished || c == nil || s.Drift == nil {
		return fmt.Errorf("send is %s, not finished with its figures", s.Status)
	}
	if n := int64(recipients); c.Audience != n || c.Accepted != n || c.Doubtful != 0 {
		return fmt.Errorf("want %d accepted: audience %d, accepted %d, refused %d, gone %d, in doubt %d, doubtful %d, pending %d",
			n, c.Audience, c.Accepted, c.Refused, c.Gone, c.InDoubt, c.Doubtful, c.Pending)
	}
	return nil
}

func news() client.SendRequest {
	return client.SendRequest{Target: client.Target{Query: json.RawMessage(`{}`)}, Message: client.Message{Sound: "default",
		Languages: map[string]client.Content{"en": {Title: pushTitle, Body: pushBody}}}}
}
