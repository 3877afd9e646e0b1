package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// runLimit ends everything, whatever hangs.
const runLimit = 30 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		usage()
	}
	var err error
	switch os.Args[1] {
	case "send":
		err = send(ctx, os.Args[2:])
	case partWire, partSim, partNode:
		err = playPart(ctx, os.Args[1], os.Args[2:])
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench send [--recipients N] [--repeats N] [--json FILE]")
	os.Exit(2)
}

func send(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench send", flag.ExitOnError)
	recipients := flags.Int("recipients", 1_000_000, "recipients of the send over the whole road")
	repeats := flags.Int("repeats", leastPairs, "rounds; a round on a machine too slow to judge is repeated")
	file := flags.String("json", "", "also write every figure to this `file`")
	flags.Parse(args)
	if *recipients < 1 || *repeats < 1 || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	ctx, stop := context.WithTimeout(ctx, runLimit)
	defer stop()
	report, err := measure(ctx, *recipients, *repeats)
	if err != nil {
		return err
	}
	report.print(os.Stdout)
	if *file != "" {
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(*file, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return report.missed()
}
