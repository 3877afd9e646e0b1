package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runLimit ends everything, whatever hangs.
const runLimit = time.Hour

// measurement is one sub-command. What it finds it puts into the section.
type measurement struct {
	name    string
	about   string
	repeats int           // rounds, unless others are asked for
	share   time.Duration // of the twelve minutes of all: no round begins that would end beyond it
	run     func(context.Context, *lab, *Section) error
}

// measurements are in the order in which all makes them: those that share a
// town stand together.
func measurements() []*measurement {
	return []*measurement{
		{"send", "a million recipients over the whole road, beside the wire and the peers", leastPairs, 110 * time.Second, send},
		{"fcm", "a million recipients over FCM", 5, 25 * time.Second, overFCM},
		{"personal", "a million recipients, each by name", 5, 18 * time.Second, named},
		{"latency", "a provider that answers late, and one whose latency jumps", 3, 22 * time.Second, latency},
		{"steer", "a send slowed, paused and resumed while it runs", 3, 16 * time.Second, steer},
		{"quota", "a provider that grants less than agreed", 1, 110 * time.Second, quota},
		{"webpush", "Web Push per core, beside webpush-go and npm web-push", 5, 40 * time.Second, overWebPush},
		{"election", "1 to 200 projects at once, and beside bulk sends", 5, 110 * time.Second, election},
		{"sizes", "drift, cost and memory by size of the audience", 5, 60 * time.Second, sizes},
		{"forecast", "the error of the forecast of the last push", 5, 40 * time.Second, forecast},
		{"transactional", "single sends from the request to the wire, also during a bulk send", 1, 80 * time.Second, transactional},
		{"overload", "four times what it can send, with urgent sends between", 1, 80 * time.Second, overload},
	}
}

const document = "docs/performance.md"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) < 2 {
		usage()
	}
	name, args := os.Args[1], os.Args[2:]
	var err error
	switch chosen := choose(name); {
	case chosen != nil:
		err = measure(ctx, chosen, args)
	case name == "compare" && len(args) >= 2:
		err = measure(ctx, []*measurement{{"compare", "this build against the one before", comparePairs, 0, compareBuilds([2]string(args[:2]))}}, args[2:])
	case name == partWire || name == partSim || name == partNode:
		err = playPart(ctx, name, args)
	default:
		usage()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// apart are measurements that all leaves out: they take long, and databases.
func apart() []*measurement {
	return []*measurement{
		{"audience", "ten million people: import, memory, counts beside PostgreSQL, DuckDB and SQLite", 1, 0, askCrowd},
	}
}

// choose returns the measurements of a command, none when there is no such.
func choose(name string) []*measurement {
	if name == "all" {
		return measurements()
	}
	for _, m := range append(measurements(), apart()...) {
		if m.name == name {
			return []*measurement{m}
		}
	}
	return nil
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: go run ./bench COMMAND [--repeats N] [--scale SHARE] [--json FILE] [--docs FILE]\n\n"+
		"  all            everything below, and writes "+document)
	for _, m := range append(measurements(), apart()...) {
		fmt.Fprintf(os.Stderr, "  %-14s %s\n", m.name, m.about)
	}
	fmt.Fprintln(os.Stderr, "  compare OLD NEW: two binaries of tocsin, for make bench-check")
	os.Exit(2)
}

// Report is a run of one command or of all.
type Report struct {
	Sections []*Section `json:"sections"`
}

func measure(ctx context.Context, chosen []*measurement, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	repeats := flags.Int("repeats", 0, "rounds of each measurement, in place of its own number")
	scale := flags.Float64("scale", 1, "share of audiences and times; below 1 nothing is judged or written into the document")
	file := flags.String("json", "", "also write every figure to this `file`")
	peers := flags.String("peers", "", "`folder` with the programs that scripts/bench-audience makes of databases, for audience")
	docs := flags.String("docs", "", "write tables and pictures into this `file`, between its markers; all writes "+document)
	flags.Parse(args)
	if *repeats < 0 || *scale <= 0 || *scale > 1 || flags.NArg() > 0 {
		flags.Usage()
		os.Exit(2)
	}
	if *docs == "" && len(chosen) > 1 {
		*docs = filepath.FromSlash(document)
	}
	ctx, stop := context.WithTimeout(ctx, runLimit)
	defer stop()
	began := time.Now()
	report, err := measureAll(ctx, chosen, *repeats, *scale, *peers)
	if report == nil {
		return err
	}
	for _, s := range report.Sections {
		s.print(os.Stdout)
	}
	progress("all took %.0f s", time.Since(began).Seconds())
	if *file != "" {
		err = errors.Join(err, writeJSON(*file, report))
	}
	if *docs != "" && *scale == 1 {
		err = errors.Join(err, publish(*docs, report.fit()))
	}
	return errors.Join(err, report.missed())
}

// measureAll goes on with the next measurement when one fails.
func measureAll(ctx context.Context, chosen []*measurement, repeats int, scale float64, peers string) (report *Report, err error) {
	l, err := openLab(ctx, scale)
	if err != nil {
		return nil, err
	}
	l.together, l.peers = len(chosen) > 1, peers
	defer func() { err = errors.Join(err, l.close()) }()
	report = &Report{}
	for _, m := range chosen {
		progress("\n%s: %s", m.name, m.about)
		s, failed := l.run(ctx, m, repeats)
		if failed != nil {
			progress("FAILED: %v", failed)
			err = errors.Join(err, failed, l.leave()) // who knows what it left behind
			continue
		}
		report.Sections = append(report.Sections, s)
	}
	return report, err
}

// fit are the sections that a document may show: no round of them ran on a
// machine that was too slow.
func (r *Report) fit() (fit []*Section) {
	for _, s := range r.Sections {
		if s.Unfit == 0 {
			fit = append(fit, s)
		}
	}
	return fit
}

// missed is the error of a run in which a bound does not hold, or which a
// machine too slow to judge made.
func (r *Report) missed() error {
	var errs []error
	for _, s := range r.Sections {
		if text := s.warning(); text != "" {
			errs = append(errs, fmt.Errorf("%s: %s; nothing is written into the document", s.Name, text))
		}
		if names := s.missed(); names != nil {
			errs = append(errs, fmt.Errorf("%s: beyond the bound: %s", s.Name, strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

func writeJSON(file string, report *Report) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
