package main

import (
	"math"
	"slices"
)

// job is one project's send among many at once. Times are seconds on one clock.
type job struct {
	due    float64
	pushes int
	finish float64 // as measured: its last push left
}

// idealFinish is when each job would end if a rate of pushes a second were
// shared equally, at every instant, among the jobs that are due and not ended.
func idealFinish(jobs []job, rate float64) []float64 {
	finish, left := make([]float64, len(jobs)), make([]float64, len(jobs))
	waiting := make([]int, len(jobs)) // by due time
	for i := range jobs {
		waiting[i], left[i] = i, float64(jobs[i].pushes)
	}
	slices.SortStableFunc(waiting, func(a, b int) int { return compare(jobs[a].due, jobs[b].due) })
	var running []int
	now := 0.0
	for len(waiting)+len(running) > 0 {
		if len(running) == 0 {
			now = jobs[waiting[0]].due
		}
		for len(waiting) > 0 && jobs[waiting[0]].due <= now {
			running, waiting = append(running, waiting[0]), waiting[1:]
		}
		// Until the smallest ends or the next is due, everybody gets the same.
		least := left[running[0]]
		for _, i := range running {
			least = min(least, left[i])
		}
		share := rate / float64(len(running))
		step, ends := least/share, true
		if len(waiting) > 0 && jobs[waiting[0]].due-now < step {
			step, ends = jobs[waiting[0]].due-now, false
		}
		now += step
		running = slices.DeleteFunc(running, func(i int) bool {
			left[i] -= step * share
			if ends && left[i] <= least*1e-12 {
				finish[i] = now
				return true
			}
			return false
		})
	}
	return finish
}

func compare(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// rateOf is all pushes over the time from the first due to the last finish.
func rateOf(jobs []job) float64 {
	first, last, pushes := math.Inf(1), math.Inf(-1), 0
	for _, j := range jobs {
		first, last, pushes = min(first, j.due), max(last, j.finish), pushes+j.pushes
	}
	return float64(pushes) / (last - first)
}

// startAllowance is what a send may take before sharing begins.
const startAllowance = 0.020

// unfairness is the 99th percentile over the jobs of (time taken - 20 ms) over
// the time that ideal equal sharing would take at the measured total rate. 1 is
// ideal for all.
func unfairness(jobs []job) float64 {
	ideal := idealFinish(jobs, rateOf(jobs))
	ratios := make([]float64, len(jobs))
	for i, j := range jobs {
		ratios[i] = (j.finish - j.due - startAllowance) / (ideal[i] - j.due)
	}
	slices.Sort(ratios)
	return percentile(ratios, 0.99)
}

// audienceSizes are the sizes of n projects, largest first, from most down to
// least, total in all: most x ((1+b)/(i+b))^a (Mandelbrot), which few large and
// many small tenants follow.
func audienceSizes(n, least, most, total int) []int {
	if n == 1 {
		return []int{total}
	}
	sizes := func(b float64) (all []int, sum int) {
		a := math.Log(float64(most)/float64(least)) / math.Log((float64(n)+b)/(1+b))
		for i := range n {
			all = append(all, int(math.Round(float64(most)*math.Pow((1+b)/(float64(i)+1+b), a))))
			sum += all[i]
		}
		return all, sum
	}
	low, high := -0.99, 1e6 // a larger b bends less: a larger sum
	for range 200 {
		middle := (low + high) / 2
		if _, sum := sizes(middle); sum < total {
			low = middle
		} else {
			high = middle
		}
	}
	all, sum := sizes(low)
	all[0] += total - sum // what rounding left
	return all
}
