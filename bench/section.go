package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Section is what one sub-command measured, ready to be shown in any form.
type Section struct {
	Name     string    `json:"name"` // of the sub-command
	Title    string    `json:"title"`
	Text     []string  `json:"text"` // paragraphs: what was done, and what to know of it
	Tables   []Table   `json:"-"`    // made from the rounds
	Checks   []Check   `json:"checks"`
	Charts   []Chart   `json:"-"`
	Rounds   any       `json:"rounds"` // every figure
	Command  string    `json:"command"`
	Machine  Machine   `json:"machine"`
	Wire     []float64 `json:"wire"`     // pushes a second of each wire run that counts
	Repeated int       `json:"repeated"` // rounds thrown away because the machine was too slow
	Unfit    int       `json:"unfit"`    // rounds kept although it was
}

// Table is text in cells; the first column is left-aligned, others right.
type Table struct {
	Head []string
	Rows [][]string
}

func (t *Table) add(cells ...string) { t.Rows = append(t.Rows, cells) }

// missed names the bounds that do not hold.
func (s *Section) missed() (names []string) {
	for _, c := range s.Checks {
		if !c.Holds {
			names = append(names, c.Name)
		}
	}
	return names
}

// warning says what is wrong with the run as a whole; "" is nothing.
func (s *Section) warning() string {
	if s.Unfit == 0 {
		return ""
	}
	return fmt.Sprintf("THE MACHINE WAS TOO SLOW OR TOO BUSY in %d rounds that count", s.Unfit)
}

// conditions is where and when it was measured.
func (s *Section) conditions() string {
	m := &s.Machine
	text := fmt.Sprintf("%s, %d cores, %s, %s, %s, GOMAXPROCS %d, data on %s, commit %s, %s", m.CPU, m.Cores, m.Memory, m.Kernel,
		m.Go, m.GOMAXPROCS, m.Disk, m.Commit, m.At.Format("2006-01-02 15:04 MST"))
	if len(s.Wire) > 0 {
		w := spread(s.Wire)
		text += fmt.Sprintf("; raw TLS wire beside it %s pushes/s (%s - %s)", whole(w.Median), whole(w.Min), whole(w.Max))
	}
	if s.Repeated > 0 {
		text += fmt.Sprintf("; %d rounds repeated, the machine being too slow", s.Repeated)
	}
	return text
}

// print writes a section for a terminal.
func (s *Section) print(w io.Writer) {
	fmt.Fprintf(w, "\n== %s (%s)\n%s\n", s.Title, s.Command, s.conditions())
	if text := s.warning(); text != "" {
		fmt.Fprintln(w, text)
	}
	for _, text := range s.Text {
		fmt.Fprintf(w, "\n%s\n", text)
	}
	for _, t := range append(s.Tables, s.judgements()...) {
		fmt.Fprintln(w)
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.Head}, t.Rows...) {
			fmt.Fprintln(table, strings.Join(row, "\t"))
		}
		table.Flush()
	}
}

// judgements is the table of the checks; none without any.
func (s *Section) judgements() []Table {
	if len(s.Checks) == 0 {
		return nil
	}
	t := Table{Head: []string{"judged", "median", "95 % interval", "bound", "aim", ""}}
	for _, c := range s.Checks {
		bound, aim, verdict := "", "", ""
		if c.Bound > 0 || c.AtMost {
			bound, verdict = limit(c.AtMost, c.Bound), "holds"
		}
		if c.Aim > 0 {
			aim = limit(c.AtMost, c.Aim)
		}
		if !c.Holds {
			verdict = "MISSED"
		}
		t.add(c.Name+", "+c.Unit, figure(c.Value.Median), figure(c.Interval.Low)+" - "+figure(c.Interval.High), bound, aim, verdict)
	}
	return []Table{t}
}

func limit(atMost bool, v float64) string {
	if atMost {
		return "<= " + figure(v)
	}
	return ">= " + figure(v)
}

// figure writes a number with three digits that matter.
func figure(v float64) string {
	switch a := max(v, -v); {
	case a == 0 || a >= 100:
		return whole(v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

// whole writes a whole number with commas.
func whole(v float64) string {
	text := fmt.Sprintf("%.0f", v)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// ranged is a median with its least and greatest.
func ranged(values []float64) string {
	s := spread(values)
	if len(values) == 1 {
		return figure(s.Median)
	}
	return fmt.Sprintf("%s (%s - %s)", figure(s.Median), figure(s.Min), figure(s.Max))
}

// sides are the cells of a row that compares: rate, CPU of both sides.
func sides(name string, all []Side) []string {
	return []string{name, ranged(of(all, func(s *Side) float64 { return s.Rate })),
		ranged(of(all, func(s *Side) float64 { return s.Sender })), ranged(of(all, func(s *Side) float64 { return s.Server }))}
}

var sidesHead = []string{"", "pushes/s: median (least - most)", "CPU-s per million, sender", "server"}
