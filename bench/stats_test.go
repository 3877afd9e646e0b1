package main

import (
	"math"
	"testing"
)

func TestMedianOfOddAndEven(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{7}, 7},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.values, got, c.want)
		}
	}
}

func TestSpreadLeavesItsValuesAlone(t *testing.T) {
	values := []float64{3, 1, 2}
	if got := (Spread{2, 1, 3}); spread(values) != got {
		t.Errorf("spread is %v, want %v", spread(values), got)
	}
	if values[0] != 3 {
		t.Errorf("the values were moved: %v", values)
	}
}

// The interval of a median has a known answer: for n = 10 it runs from about
// the second to the ninth value.
func TestBootstrapInterval(t *testing.T) {
	values := []float64{10, 1, 9, 2, 8, 3, 7, 4, 6, 5}
	got := bootstrap(values)
	if math.Abs(got.Low-3) > 1 || math.Abs(got.High-8) > 1 {
		t.Errorf("interval is %v, want about 3 to 8", got)
	}
	if again := bootstrap(values); again != got {
		t.Errorf("interval is %v, then %v", got, again)
	}
	if one := bootstrap([]float64{4}); one != (Interval{4, 4}) {
		t.Errorf("interval of one value is %v", one)
	}
}

func TestPercentileIsTheNearestRank(t *testing.T) {
	values := make([]float64, 200)
	for i := range values {
		values[i] = float64(i + 1)
	}
	for p, want := range map[float64]float64{0: 1, 0.005: 1, 0.5: 100, 0.99: 198, 0.991: 199, 1: 200} {
		if got := percentile(values, p); got != want {
			t.Errorf("percentile %v is %v, want %v", p, got, want)
		}
	}
	if got := percentile([]float64{4}, 0.99); got != 4 {
		t.Errorf("of one value it is %v", got)
	}
}

func TestCheckJudgesTheIntervalOfEnoughPairs(t *testing.T) {
	around := func(n int, middle float64) (values []float64) {
		for i := range n {
			values = append(values, middle+float64(i%5)-2)
		}
		return values
	}
	for _, c := range []struct {
		name   string
		values []float64
		holds  bool
	}{
		{"above", around(10, 20), true},
		{"median below, interval across", []float64{1, 2, 8, 9, 9, 9, 9, 11, 12, 13}, true},
		{"interval below", around(10, 5), false},
		{"too few pairs, median below", []float64{9, 9, 12}, false},
		{"too few pairs, median above", []float64{9, 11, 12}, true},
	} {
		if got := atLeast(c.name, "", 10, 0, c.values); got.Holds != c.holds {
			t.Errorf("%s: holds is %v with median %v, interval %v", c.name, got.Holds, got.Value.Median, got.Interval)
		}
		mirrored := make([]float64, len(c.values))
		for i, v := range c.values {
			mirrored[i] = 20 - v
		}
		if got := atMost(c.name, "", 10, 0, mirrored); got.Holds != c.holds {
			t.Errorf("%s, as a ceiling: holds is %v with median %v, interval %v", c.name, got.Holds, got.Value.Median, got.Interval)
		}
	}
}
