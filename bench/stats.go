package main

import (
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

// Check is a floor of the issue and whether it holds.
type Check struct {
	Name     string   `json:"name"`
	Unit     string   `json:"unit"`
	Floor    float64  `json:"floor"` // 0: shown beside, none is set
	Value    Spread   `json:"value"`
	Interval Interval `json:"interval"`
	Holds    bool     `json:"holds"`
}

// check judges a floor. With enough pairs it is missed when the whole interval
// of the median lies below it; with fewer, when the median does.
func check(name, unit string, floor float64, values []float64) Check {
	c := Check{Name: name, Unit: unit, Floor: floor, Value: spread(values), Interval: bootstrap(values)}
	c.Holds = c.Value.Median >= floor
	if len(values) >= leastPairs {
		c.Holds = c.Interval.High >= floor
	}
	return c
}
