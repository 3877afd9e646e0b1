package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// Chart is a line chart over logarithmic axes: figures that span decades.
type Chart struct {
	File   string // name of the SVG beside the document
	Title  string
	X, Y   string // what the axes show, with units
	Series []Series
	Linear bool // both axes start at 0 instead
}

// Series is one line of a chart, from left to right.
type Series struct {
	Name   string
	Points []Point
}

// Point is a place in a chart; on logarithmic axes both are above 0.
type Point struct{ X, Y float64 }

const (
	chartWidth, chartHeight               = 760, 430
	plotLeft, plotTop, plotWidth, plotEnd = 86, 50, 490, 360

	mostDots = 30 // points of a line that are marked
)

// lineColours are told apart on white and on black, also by most who do not
// tell red from green.
var lineColours = [...]string{"#2f81f7", "#d9730d", "#8957e5", "#1a9e6c", "#cf5b9b", "#8a8f98"}

// axis maps figures to pixels.
type axis struct {
	low, high float64 // of the logarithm, or of the figure
	linear    bool
	from, to  float64
}

func newAxis(values []float64, linear bool, from, to float64) axis {
	a := axis{linear: linear, from: from, to: to}
	least, most := math.Inf(1), math.Inf(-1)
	for _, v := range values {
		least, most = min(least, v), max(most, v)
	}
	if linear {
		a.high = niceStep(most/5) * math.Ceil(most/niceStep(most/5)-1e-9)
		return a
	}
	a.low, a.high = math.Floor(math.Log10(least)+1e-9), math.Ceil(math.Log10(most)-1e-9)
	if a.low == a.high {
		a.high++
	}
	return a
}

// niceStep is the least of 1, 2, 5 times a power of ten that is not below v.
func niceStep(v float64) float64 {
	if v <= 0 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if n*ten >= v*(1-1e-9) {
			return n * ten
		}
	}
	return 10 * ten
}

func (a axis) at(v float64) float64 {
	if !a.linear {
		v = math.Log10(v)
	}
	return a.from + (v-a.low)/(a.high-a.low)*(a.to-a.from)
}

// ticks are the figures that get a line.
func (a axis) ticks() (all []float64) {
	if a.linear {
		step := niceStep(a.high / 5)
		for i := 0; float64(i)*step <= a.high*(1+1e-9); i++ {
			all = append(all, float64(i)*step)
		}
		return all
	}
	for e := a.low; e <= a.high; e++ {
		all = append(all, math.Pow(10, e))
	}
	return all
}

// tick is a short name of a figure.
func tick(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.3g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.3g k", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}

// svg draws the chart. Text stays text; colours follow the reader's scheme.
func (c *Chart) svg() string {
	var b strings.Builder
	out := func(format string, values ...any) { fmt.Fprintf(&b, format+"\n", values...) }
	var xs, ys []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			xs, ys = append(xs, p.X), append(ys, p.Y)
		}
	}
	if len(xs) == 0 {
		xs, ys = []float64{1}, []float64{1}
	}
	x, y := newAxis(xs, c.Linear, plotLeft, plotLeft+plotWidth), newAxis(ys, c.Linear, plotEnd, plotTop)
	out(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img" aria-label="%s">`, chartWidth, chartHeight, escape(c.Title))
	out(`<style>text{font:13px system-ui,sans-serif;fill:#1f2328}.grid{stroke:#d0d7de;stroke-width:1}.back{fill:#fff}` +
		`@media (prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}.back{fill:#0d1117}}</style>`)
	out(`<rect class="back" width="%d" height="%d" rx="6"/>`, chartWidth, chartHeight)
	out(`<text x="%d" y="26" style="font-size:15px;font-weight:600">%s</text>`, plotLeft, escape(c.Title))
	for _, v := range x.ticks() {
		out(`<line class="grid" x1="%.1[1]f" x2="%.1[1]f" y1="%[2]d" y2="%[3]d"/><text x="%.1[1]f" y="%[4]d" text-anchor="middle">%[5]s</text>`, x.at(v), plotTop, plotEnd, plotEnd+20, tick(v))
	}
	for _, v := range y.ticks() {
		out(`<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1[3]f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`, plotLeft, plotLeft+plotWidth, y.at(v), plotLeft-8, y.at(v)+4, tick(v))
	}
	out(`<text x="%d" y="%d" text-anchor="middle">%s</text>`, plotLeft+plotWidth/2, plotEnd+44, escape(c.X))
	out(`<text transform="translate(22 %d) rotate(-90)" text-anchor="middle">%s</text>`, (plotTop+plotEnd)/2, escape(c.Y))
	for i, s := range c.Series {
		colour := lineColours[i%len(lineColours)]
		var line strings.Builder
		for _, p := range s.Points {
			fmt.Fprintf(&line, "%.1f,%.1f ", x.at(p.X), y.at(p.Y))
		}
		out(`<polyline fill="none" stroke="%s" stroke-width="2" points="%s"/>`, colour, strings.TrimSpace(line.String()))
		if len(s.Points) > mostDots {
			s.Points = nil
		}
		for _, p := range s.Points {
			out(`<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"><title>%s: %s, %s</title></circle>`, x.at(p.X), y.at(p.Y), colour, escape(s.Name), tick(p.X), tick(p.Y))
		}
		at := plotTop + 10 + 22*i
		out(`<line x1="%d" x2="%d" y1="%d" y2="%[3]d" stroke="%s" stroke-width="3"/><text x="%d" y="%d">%s</text>`, plotLeft+plotWidth+14, plotLeft+plotWidth+34, at, colour, plotLeft+plotWidth+40, at+4, escape(s.Name))
	}
	out(`</svg>`)
	return b.String()
}

func escape(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}
