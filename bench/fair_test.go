package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-6*max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestIdealSharingOfThree(t *testing.T) {
	// 10, 20 and 30 pushes share 10 a second: at 3 s each has had 10, at 5 s two
	// have had 20, and the last has the whole rate for its last 10.
	finish := idealFinish([]job{{pushes: 30}, {pushes: 10}, {pushes: 20}}, 10)
	near(t, "30 pushes", finish[0], 6)
	near(t, "10 pushes", finish[1], 3)
	near(t, "20 pushes", finish[2], 5)
}

func TestIdealSharingWithLaterDue(t *testing.T) {
	// Alone for 2 s the first has 20 of 30; then both get 5 a second.
	finish := idealFinish([]job{{due: 1, pushes: 30}, {due: 3, pushes: 40}, {due: 100, pushes: 10}}, 10)
	near(t, "first", finish[0], 5)
	near(t, "second", finish[1], 8)
	near(t, "one after a pause", finish[2], 101)
}

// Whatever the jobs, ideal sharing wastes nothing: without pauses the last one
// ends when all pushes at the full rate would.
func TestIdealSharingKeepsTheRate(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 100 {
		jobs, sum := make([]job, 1+random.IntN(50)), 0
		for i := range jobs {
			jobs[i] = job{pushes: 1000 + random.IntN(100_000)}
			if i > 0 {
				jobs[i].due = random.Float64() / 1000 // the first alone lasts longer
			}
			sum += jobs[i].pushes
		}
		finish := idealFinish(jobs, 500_000)
		near(t, "the last", slices.Max(finish), float64(sum)/500_000)
	}
}

func TestUnfairness(t *testing.T) {
	// Two equal ones that both end with the whole: the ideal, but for 20 ms.
	fair := []job{{pushes: 1000, finish: 2}, {pushes: 1000, finish: 2}}
	near(t, "fair", unfairness(fair), (2-0.020)/2)
	// One behind the other: the second took what it takes at best, too.
	near(t, "one after the other", unfairness([]job{{pushes: 1000, finish: 1}, {pushes: 1000, finish: 2}}), (2-0.020)/2)
	// A small one behind a large one: it should have ended at 0.02 s.
	behind := []job{{pushes: 9900, finish: 0.99}, {pushes: 100, finish: 1}}
	near(t, "small behind large", unfairness(behind), (1-0.020)/0.02)
}

func TestAudienceSizes(t *testing.T) {
	sizes := audienceSizes(200, 1000, 1_000_000, 5_000_000)
	sum := 0
	for i, n := range sizes {
		if sum += n; i > 0 && n > sizes[i-1] {
			t.Fatalf("size %d is %d, before it %d", i, n, sizes[i-1])
		}
	}
	if sum != 5_000_000 || sizes[199] != 1000 || math.Abs(float64(sizes[0])-1e6) > 200 {
		t.Errorf("sum %d, largest %d, smallest %d", sum, sizes[0], sizes[199])
	}
	if one := audienceSizes(1, 10, 10, 77); !slices.Equal(one, []int{77}) {
		t.Errorf("one project has %v", one)
	}
}
