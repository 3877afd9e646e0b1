package main

import (
	"math"
	"math/rand/v2"
	"slices"
)

// leastPairs is how many interleaved pairs a judgement of a bound needs.
const leastPairs = 10

// Spread sums up the same figure of several rounds.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spread(values []float64) Spread {
	return Spread{median(values), slices.Min(values), slices.Max(values)}
}

// median of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// percentile is the least of the sorted values that p of all, 0 to 1, do not
// exceed (nearest rank). There is at least one.
func percentile(sorted []float64, p float64) float64 {
	rank := int(math.Ceil(p*float64(len(sorted)) - 1e-9))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Interval is where the median lies with 95 % confidence.
type Interval struct {
	Low  float64 `json:"low"`
	High float64 `json:"high"`
}

// bootstrap draws from the values with replacement, 10,000 times, and returns
// the middle 95 % of the medians. The draw is the same every time.
func bootstrap(values []float64) Interval {
	const draws = 10_000
	random := rand.New(rand.NewPCG(1, 2))
	medians, drawn := make([]float64, draws), make([]float64, len(values))
	for i := range medians {
		for j := range drawn {
			drawn[j] = values[random.IntN(len(values))]
		}
		medians[i] = median(drawn)
	}
	slices.Sort(medians)
	return Interval{medians[draws*25/1000], medians[draws*975/1000-1]}
}

// Check is a figure with the bound that it must keep and the aim beyond it.
type Check struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Bound    float64  `json:"bound"`
	AtMost   bool     `json:"at_most"` // else at least, and a bound of 0 is none
	Aim      float64  `json:"aim"`     // 0: none
	Value    Spread   `json:"value"`
	Interval Interval `json:"interval"`
	Holds    bool     `json:"holds"`
}

// atLeast judges a floor. With enough pairs it is missed when the whole
// interval of the median lies below it; with fewer, when the median does.
func atLeast(name, unit string, floor, aim float64, values []float64) Check {
	c := Check{Name: name, Unit: unit, Bound: floor, Aim: aim, Value: spread(values), Interval: bootstrap(values)}
	c.Holds = c.Value.Median >= floor
	if len(values) >= leastPairs {
		c.Holds = c.Interval.High >= floor
	}
	return c
}

// atMost judges a ceiling in the same way.
func atMost(name, unit string, ceiling, aim float64, values []float64) Check {
	c := atLeast(name, unit, ceiling, aim, values)
	c.AtMost = true
	c.Holds = c.Value.Median <= ceiling
	if len(values) >= leastPairs {
		c.Holds = c.Interval.Low <= ceiling
	}
	return c
}

// shown is a figure without a bound.
func shown(name, unit string, values []float64) Check { return atLeast(name, unit, 0, 0, values) }

// of maps rounds to one of their figures.
func of[R, V any](rounds []R, figure func(*R) V) []V {
	values := make([]V, len(rounds))
	for i := range rounds {
		values[i] = figure(&rounds[i])
	}
	return values
}
