// Command victim takes the place of cmd/tocsin in the overlay: the product's
// commands, and "node", a node whose failpoints can be armed.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tocsin-push/tocsin/cli"
	"github.com/tocsin-push/tocsin/fanout"
	"github.com/tocsin-push/tocsin/node"
	"github.com/tocsin-push/tocsin/node/crashtest"
)

// settings come as the second argument.
type settings struct {
	Dir    string
	Window int // 0: the product's default
	Point  string
	Pass   int // of the point; 0: not armed
}

func main() {
	if len(os.Args) < 3 || os.Args[1] != "node" {
		os.Exit(cli.Run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	if err := run(os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		os.Exit(1)
	}
}

func run(text string) error {
	var s settings
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	crashtest.Process.Arm(s.Point, s.Pass)
	go obey()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	return node.Run(ctx, config(s), log, func(up node.Up) { fmt.Printf("up %s %s\n", up.URL, up.AdminKeyFile) })
}

// config is the product's, but for waits of half a second where it would
// wait for a provider, and trims and snapshots every few seconds.
func config(s settings) node.Config {
	const wait = 500 * time.Millisecond
	c := node.Default()
	c.Dir, c.Listen, c.Trim = s.Dir, "127.0.0.1:0", time.Second
	if s.Window > 0 {
		c.Fanout.Window = s.Window
	}
	again := fanout.Retry{First: wait, Most: wait}
	c.Fanout.APNs, c.Fanout.FCM, c.Fanout.WebPush, c.Fanout.Credential = again, again, again, again
	c.Lanes.Reopen, c.Lanes.Pace.Slow, c.Lanes.Pace.SlowMost = wait, wait, wait
	c.APNs.Bulk.AnswerTimeout, c.FCM.Bulk.AnswerTimeout = wait, wait
	c.APNs.ServerError, c.FCM.Throttled = wait, wait
	c.Audience.SnapshotEvery = 2 * time.Second
	return c
}

// obey does what it is told on standard input: "passed" prints how often each
// failpoint was passed; a JSON pair [NAME, N] arms one.
func obey() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "passed" {
			text, _ := json.Marshal(crashtest.Process.Passed())
			fmt.Printf("passed %s\n", text)
			continue
		}
		var name string
		var n int
		if err := json.Unmarshal(lines.Bytes(), &[]any{&name, &n}); err != nil {
			fmt.Fprintln(os.Stderr, "victim: not understood:", err)
			os.Exit(1)
		}
		crashtest.Process.Arm(name, n)
		fmt.Printf("armed\n")
	}
}
