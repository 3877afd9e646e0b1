package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Floors of the whole road.
const (
	floorOfWire = 5       // per cent of the wire run of the same round
	floorRate   = 250_000 // pushes a second
)

// Report is every figure of a run.
type Report struct {
	Machine    Machine `json:"machine"`
	Recipients int     `json:"recipients"`
	Rounds     []Round `json:"rounds"`
	Repeated   int     `json:"repeated"` // rounds thrown away because the machine was too slow
	Unfit      int     `json:"unfit"`    // rounds kept although it was
	Checks     []Check `json:"checks"`
}

// judge compares round by round, so that a slow minute slows both sides.
func (r *Report) judge() {
	r.Unfit = 0
	for _, one := range r.Rounds {
		if !one.fit() {
			r.Unfit++
		}
	}
	r.Checks = []Check{
		check("tocsin of raw TLS", "%", floorOfWire, r.values(func(o *Round) float64 { return 100 * o.Road.Rate / o.Wire.Rate })),
		check("tocsin", "pushes/s", floorRate, r.values(func(o *Round) float64 { return o.Road.Rate })),
		check("tocsin against apns2", "times", 0, r.values(func(o *Round) float64 { return o.Road.Rate / o.bestPeer().Rate })),
	}
}

func (r *Report) values(of func(*Round) float64) []float64 {
	values := make([]float64, len(r.Rounds))
	for i := range r.Rounds {
		values[i] = of(&r.Rounds[i])
	}
	return values
}

// missed is the error of a run in which a floor does not hold.
func (r *Report) missed() error {
	var names []string
	for _, c := range r.Checks {
		if !c.Holds {
			names = append(names, c.Name)
		}
	}
	if names == nil {
		return nil
	}
	return fmt.Errorf("below the floor: %s", strings.Join(names, ", "))
}

func (r *Report) print(w io.Writer) {
	m := &r.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, %s, %s, GOMAXPROCS %d, data on %s, %s\n", m.CPU, m.Cores, m.Memory, m.Kernel, m.Go, m.GOMAXPROCS, m.Disk, m.At.Format("2006-01-02 15:04 MST"))
	fmt.Fprintf(w, "%d rounds of one run each; tocsin sends to %d recipients, apns2 to %d, raw TLS exchanges %d\n", len(r.Rounds), r.Recipients, peerPushes, wirePushes)
	if r.Repeated > 0 {
		fmt.Fprintf(w, "%d rounds were repeated, with raw TLS under %d or apns2 under %d pushes/s\n", r.Repeated, leastWire, leastPeer)
	}
	if r.Unfit > 0 {
		fmt.Fprintf(w, "THE MACHINE WAS TOO SLOW OR TOO BUSY in %d rounds that count below\n", r.Unfit)
	}
	fmt.Fprintln(w)
	r.printRates(w)
	fmt.Fprintln(w)
	r.printDrift(w)
	fmt.Fprintln(w)
	r.printChecks(w)
}

func (r *Report) printRates(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "pushes/s\tmedian\tmin\tmax\tCPU-s/M sender\tserver\t")
	line := func(name string, side func(*Round) Side) {
		rate := spread(r.values(func(o *Round) float64 { return side(o).Rate }))
		fmt.Fprintf(table, "%s\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t\n", name, rate.Median, rate.Min, rate.Max,
			median(r.values(func(o *Round) float64 { return side(o).Sender })),
			median(r.values(func(o *Round) float64 { return side(o).Server })))
	}
	line("raw TLS, 4 connections", func(o *Round) Side { return o.Wire })
	for i, clients := range peerClients {
		line(fmt.Sprintf("apns2, %d x %d in flight", clients, peerInFlight), func(o *Round) Side { return o.Peers[i].Side })
	}
	line("tocsin, the whole road", func(o *Round) Side { return o.Road.Side })
	table.Flush()
}

func (r *Report) printDrift(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "tocsin, ms after the send was due\tmedian\tmin\tmax\t")
	line := func(name string, of func(*RoadRun) float64) {
		s := spread(r.values(func(o *Round) float64 { return of(&o.Road) }))
		fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t\n", name, s.Median, s.Min, s.Max)
	}
	line("answer 202", func(o *RoadRun) float64 { return o.Answered })
	line("first push left", func(o *RoadRun) float64 { return o.Drift.First })
	line("half of them", func(o *RoadRun) float64 { return o.Drift.P50 })
	line("99 %", func(o *RoadRun) float64 { return o.Drift.P99 })
	line("last push left", func(o *RoadRun) float64 { return o.Drift.Last })
	line("first at the simulator", func(o *RoadRun) float64 { return o.FirstSeen })
	line("last at the simulator", func(o *RoadRun) float64 { return o.LastSeen })
	line("every outcome recorded", func(o *RoadRun) float64 { return o.Finished })
	table.Flush()
}

func (r *Report) printChecks(w io.Writer) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "judged round by round\tmedian\t95 % interval\tfloor\t\t")
	for _, c := range r.Checks {
		floor, verdict := "none", ""
		if c.Floor > 0 {
			floor, verdict = figure(c.Floor), "holds"
		}
		if !c.Holds {
			verdict = "MISSED"
		}
		fmt.Fprintf(table, "%s, %s\t%s\t%s - %s\t%s\t%s\t\n", c.Name, c.Unit, figure(c.Value.Median), figure(c.Interval.Low), figure(c.Interval.High), floor, verdict)
	}
	table.Flush()
}

func figure(v float64) string {
	if v >= 1000 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.1f", v)
}
