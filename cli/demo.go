package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/sim"
)

// demo is the main job: a node on embedded engines in a temporary folder, the
// providers in another process over real TLS, and all newsrooms at once.
type demo struct {
	Newsrooms int    `help:"Number of projects." default:"24"`
	People    int    `help:"Subscriptions of all projects together." default:"1000000"`
	Seed      uint64 `help:"Seed of the population and of the providers' answers." default:"1"`
	JSON      string `help:"Write all figures to a file." name:"json" type:"path" placeholder:"FILE"`
	Stay      bool   `help:"Stay up afterwards, also when standard input is no terminal."`
}

// figures is what the demo measured.
type figures struct {
	Newsrooms     int           `json:"newsrooms"`
	Subscriptions int           `json:"subscriptions"`
	Import        time.Duration `json:"import_ns"`
	Sending       time.Duration `json:"sending_ns"`
	Rows          []row         `json:"rows"`
	Balanced      bool          `json:"balanced"`
}

// election is a running demo.
type election struct {
	*session
	demo
	folder string
	setup  sim.Setup
	api    *client.Client
	url    string
	admin  string
	rooms  []newsroom

	providers context.Context // of their process: it outlives the node
	node      sync.WaitGroup
}

type newsroom struct {
	project client.Project
	api     *client.Client // with the project's own key
	size    int
	send    tocsin.SendID
}

func (c *demo) Run(s *session) (err error) {
	if c.Newsrooms < 1 || c.People < c.Newsrooms {
		return fmt.Errorf("%w: --people must be at least --newsrooms, and both above 0", errUsage)
	}
	folder, err := os.MkdirTemp("", "tocsin-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	ctx, stop := context.WithCancel(s.ctx)
	group, ctx := errgroup.WithContext(ctx)
	providers, stopProviders := context.WithCancel(context.WithoutCancel(ctx))
	e := &election{demo: *c, folder: folder, providers: providers}
	defer func() {
		stop()
		e.node.Wait() // first, or it would miss them
		stopProviders()
		if ended := group.Wait(); err == nil && ended != nil && !errors.Is(ended, context.Canceled) {
			err = ended
		}
	}()
	on := *s
	on.ctx = ctx
	e.session = &on
	if err := e.startProviders(group); err != nil {
		return err
	}
	if err := e.startNode(group); err != nil {
		return err
	}
	report := figures{Newsrooms: c.Newsrooms, Subscriptions: c.People}
	began := time.Now()
	if err := e.importAll(); err != nil {
		return err
	}
	report.Import = time.Since(began)
	fmt.Fprintf(s.err, "imported %d subscriptions in %.1f s, %.0f a second\n", c.People, report.Import.Seconds(), float64(c.People)/report.Import.Seconds())
	if err := e.warm(); err != nil {
		return err
	}
	began = time.Now()
	if report.Rows, err = e.electionNight(); err != nil {
		return err
	}
	report.Sending = time.Since(began)
	unbalanced := e.judge(report.Rows)
	report.Balanced = unbalanced == nil
	if err := e.write(report); err != nil {
		return err
	}
	if unbalanced != nil {
		return unbalanced
	}
	fmt.Fprintln(s.err, "every send balances, and equals the providers' ledgers")
	if !c.Stay && !terminal(s.in) {
		return nil
	}
	e.invite()
	<-ctx.Done()
	return nil
}

// startProviders runs `tocsin sim` as a process of its own.
func (e *election) startProviders(group *errgroup.Group) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	setup := filepath.Join(e.folder, "setup.json")
	child := exec.CommandContext(e.providers, program, "sim", "--credentials", filepath.Join(e.folder, "credentials.json"), "--setup", setup,
		"--projects", fmt.Sprint(e.Newsrooms), "--seed", fmt.Sprint(e.Seed), "--gone", "0.01")
	child.Stderr = e.err
	child.Cancel = func() error { return child.Process.Signal(syscall.SIGTERM) }
	// Ctrl-C is for us: we end it when we have done with it.
	child.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	child.WaitDelay = 10 * time.Second
	if err := child.Start(); err != nil {
		return fmt.Errorf("simulated providers: %w", err)
	}
	ended := make(chan error, 1)
	group.Go(func() error {
		err := child.Wait()
		ended <- err
		if e.ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("simulated providers ended: %v", err)
	})
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		text, err := os.ReadFile(setup)
		if err == nil {
			tick.Stop()
			return json.Unmarshal(text, &e.setup)
		}
		select {
		case <-tick.C:
		case err := <-ended:
			return fmt.Errorf("simulated providers ended: %v", err)
		case <-e.ctx.Done():
			return e.ctx.Err()
		}
	}
}

func (e *election) startNode(group *errgroup.Group) error {
	config := node.Default()
	config.Dir, config.Listen = filepath.Join(e.folder, "data"), "127.0.0.1:0"
	log := slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
	up := make(chan node.Up, 1)
	failed := make(chan error, 1)
	e.node.Add(1)
	group.Go(func() error {
		defer e.node.Done()
		err := node.Run(e.ctx, config, log, func(u node.Up) { up <- u })
		failed <- err
		return err
	})
	select {
	case u := <-up:
		text, err := os.ReadFile(u.AdminKeyFile)
		if err != nil {
			return err
		}
		e.url, e.admin = u.URL, strings.TrimSpace(string(text))
	case err := <-failed:
		return err
	}
	var err error
	if e.api, err = client.New(client.Config{URL: e.url, Key: e.admin}); err != nil {
		return err
	}
	fmt.Fprintf(e.err, "node at %s, providers at %s\n", e.url, e.setup.Control)
	fmt.Fprintf(e.err, "quotas of the simulated providers: FCM 600,000 a minute for each project; APNs and Web Push none\n")
	return nil
}

// importAll creates the projects and imports their audiences, two at a time.
func (e *election) importAll() error {
	bar := progressbar.NewOptions64(int64(e.People), progressbar.OptionSetWriter(e.err), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetItsString("subscriptions"), progressbar.OptionSetDescription("import"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetVisibility(terminal(e.err)), progressbar.OptionClearOnFinish())
	defer bar.Finish()
	sizes := shares(e.People, e.Newsrooms)
	e.rooms = make([]newsroom, e.Newsrooms)
	group, ctx := errgroup.WithContext(e.ctx)
	group.SetLimit(2)
	for n := range e.rooms {
		group.Go(func() error {
			made, err := e.api.CreateProject(ctx, e.setup.Projects[n])
			if err != nil {
				return err
			}
			own, err := client.New(client.Config{URL: e.url, Key: made.Key})
			if err != nil {
				return err
			}
			e.rooms[n] = newsroom{project: made, api: own, size: sizes[n]}
			return e.importOne(ctx, n, bar)
		})
	}
	return group.Wait()
}

// importOne writes a newsroom's population to a file, as a client would have
// it, and imports that.
func (e *election) importOne(ctx context.Context, n int, bar *progressbar.ProgressBar) error {
	room := e.rooms[n]
	file, err := os.Create(filepath.Join(e.folder, fmt.Sprintf("newsroom-%d.ndjson", n)))
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := e.population(n, file); err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	open, err := room.api.OpenImport(ctx, client.ImportRequest{Format: client.NDJSON, Name: room.project.Name})
	if err != nil {
		return err
	}
	shown := int64(0)
	done, err := room.api.Upload(ctx, open, file, func(sent int64) {
		now := sent * int64(room.size) / info.Size()
		bar.Add64(now - shown)
		shown = now
	})
	if err != nil {
		return err
	}
	if done.Imported != int64(room.size) {
		return fmt.Errorf("%s: %d of %d subscriptions were imported; bad lines: %v", room.project.Name, done.Imported, room.size, done.BadLines)
	}
	return nil
}

// population writes the subscriptions of a newsroom, a line each.
func (e *election) population(n int, to io.Writer) error {
	people := sim.Population{Seed: e.Seed, Project: n, Size: e.rooms[n].size, Mix: sim.DefaultMix, Topic: sim.Topic(n), Now: time.Now()}
	for _, c := range e.setup.Projects[n].Credentials {
		if c.Provider == tocsin.WebPush {
			people.Origin = c.Endpoints[0].Origin
		}
	}
	out := bufio.NewWriterSize(to, 1<<20)
	var line []byte
	for member := range people.All() {
		line = member.AppendLine(line[:0])
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}
