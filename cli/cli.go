package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/tocsin-push/tocsin/client"
)

// Exit statuses, for scripts.
const (
	exitOK          = 0
	exitFailed      = 1 // it was tried and did not work out
	exitUsage       = 2 // the command line is wrong
	exitRefused     = 3 // the node refused the request: correct it
	exitUnavailable = 4 // the node could not be reached or is busy: try again
)

// commands is the whole command line.
type commands struct {
	Serve      serve      `cmd:"" help:"Run a node."`
	Cluster    cluster    `cmd:"" help:"Prepare a cluster's servers."`
	Demo       demo       `cmd:"" help:"The main job: newsrooms send to a million simulated phones in the same second."`
	Sim        simulate   `cmd:"" help:"Run simulated providers over real protocols, on loopback."`
	Project    project    `cmd:"" help:"Create and read projects."`
	Key        key        `cmd:"" help:"Create, list and revoke API keys."`
	Credential credential `cmd:"" help:"Set and list provider credentials."`
	Import     imports    `cmd:"" help:"Import subscriptions, or events, from a file."`
	Lists      lists      `cmd:"" help:"Upload, list and delete lists of users and subscriptions."`
	Catalogue  catalogue  `cmd:"" help:"Attributes, sets of tags and events in use; rename or delete one."`
	Count      count      `cmd:"" help:"Count the subscriptions that a target reaches now."`
	Segments   segments   `cmd:"" help:"Save targets with names, list and delete them, tell their sizes."`
	Explain    explain    `cmd:"" help:"Tell what each clause of a target leaves; of one subscription or user, why the target matches or not."`
	Send       send       `cmd:"" help:"Send a message."`
	Sends      sends      `cmd:"" help:"List sends, newest first."`
	Status     status     `cmd:"" help:"Read a send, and follow it."`
	Cancel     cancel     `cmd:"" help:"Cancel a send."`
	Pause      pause      `cmd:"" help:"Let a send stand still."`
	Resume     resume     `cmd:"" help:"Let a paused send go on."`
	Rate       rate       `cmd:"" help:"Set how many pushes of a send leave a minute, also while it runs."`
	Outcomes   outcomes   `cmd:"" help:"List how every push of a send ended, one a line; with --json one object a line."`
	Why        why        `cmd:"" help:"Tell what became of a subscription, or of a user, in a send, and why."`
	Export     export     `cmd:"" help:"Print all that is known of a person, as JSON."`
	Erase      erase      `cmd:"" help:"Erase a person: out of every answer at once, off the disk within 24 hours or now."`
	Erasures   erasures   `cmd:"" help:"List erasures, newest first."`
	Stats      stats      `cmd:"" help:"Tell where the memory of a node goes."`
	Completion completion `cmd:"" help:"Print a completion script for bash."`
}

// session is what a command works with.
type session struct {
	ctx   context.Context
	in    io.Reader
	out   io.Writer
	err   io.Writer
	model *kong.Application
}

// Run runs one command and returns the exit status. It ends early, and
// cleanly, on SIGINT and SIGTERM.
func Run(ctx context.Context, args []string, in io.Reader, out, errout io.Writer) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var c commands
	status, exited := exitOK, false
	parser, err := kong.New(&c, kong.Name("tocsin"), kong.UsageOnError(), kong.Writers(out, errout),
		kong.Description("Self-hosted push notifications to millions, with the least drift."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Exit(func(code int) { status, exited = code, true }))
	if err != nil {
		fmt.Fprintln(errout, "tocsin:", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exited {
		return status
	}
	if err != nil {
		fmt.Fprintln(errout, "tocsin:", err)
		fmt.Fprintln(errout, "Run `tocsin --help` for the commands and `tocsin COMMAND --help` for one of them.")
		return exitUsage
	}
	s := &session{ctx: ctx, in: in, out: out, err: errout, model: parser.Model}
	return s.report(parsed.Run(s))
}

// report prints an error with what to do about it, and chooses the status.
func (s *session) report(err error) int {
	if err == nil {
		return exitOK
	}
	var open *unfinished
	goesOn := errors.As(err, &open)
	if s.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		fmt.Fprintln(s.err, "tocsin: interrupted")
		if goesOn {
			fmt.Fprintln(s.err, open.next)
		}
		return exitFailed
	}
	fmt.Fprintln(s.err, "tocsin:", err)
	if goesOn {
		fmt.Fprintln(s.err, open.next)
	}
	var problem *client.Problem
	var network *net.OpError
	var address *url.Error
	switch {
	case errors.Is(err, errUsage):
		return exitUsage
	case errors.Is(err, client.ErrUnauthorized):
		fmt.Fprintln(s.err, "Give a key with --key or TOCSIN_KEY; the first start of a node prints where its admin key is.")
		return exitRefused
	case errors.As(err, &problem) && strings.Contains(problem.Detail, "Tocsin-Project"):
		fmt.Fprintln(s.err, "Name the project with --project or TOCSIN_PROJECT, or give a key of the project.")
		return exitRefused
	case errors.Is(err, client.ErrForbidden), errors.Is(err, client.ErrNotFound), errors.Is(err, client.ErrConflict), errors.Is(err, client.ErrInvalid):
		return exitRefused
	case errors.Is(err, client.ErrThrottled), errors.Is(err, client.ErrFull), errors.Is(err, client.ErrUnavailable):
		fmt.Fprintln(s.err, "The node is up but cannot take this now; try again later.")
		return exitUnavailable
	case errors.As(err, &network), errors.As(err, &address):
		fmt.Fprintln(s.err, "Is a node running there? Start one with `tocsin serve`, or name it with --url or TOCSIN_URL.")
		return exitUnavailable
	}
	return exitFailed
}

// errUsage is a command line that kong took and that makes no sense.
var errUsage = errors.New("wrong usage")

// unfinished is an error that left something open on the node, with the line
// that tells how to go on with it.
type unfinished struct {
	error
	next string
}

func (u *unfinished) Unwrap() error { return u.error }

// terminal reports whether a stream is a person's.
func terminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

func (s *session) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(s.err, nil))
}
