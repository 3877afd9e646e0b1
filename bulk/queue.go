package bulk

import "slices"

// queue holds the jobs that wait for a connection.
type queue struct {
	jobs []*job
	head int // those before it were taken
}

func (q *queue) len() int { return len(q.jobs) - q.head }

func (q *queue) push(j *job) {
	if len(q.jobs) == cap(q.jobs) && q.head > len(q.jobs)/2 {
		q.jobs = slices.Delete(q.jobs, 0, q.head)
		q.head = 0
	}
	q.jobs = append(q.jobs, j)
}

func (q *queue) pushFront(jobs []*job) { q.jobs = slices.Insert(q.jobs, q.head, jobs...) }

func (q *queue) pop() *job {
	j := q.jobs[q.head]
	q.jobs[q.head] = nil
	if q.head++; q.head == len(q.jobs) {
		q.jobs, q.head = q.jobs[:0], 0
	}
	return j
}

// takeIf takes the jobs out that are so.
func (q *queue) takeIf(is func(*job) bool) (taken []*job) {
	kept := slices.DeleteFunc(q.jobs[q.head:], func(j *job) bool {
		if is(j) {
			taken = append(taken, j)
			return true
		}
		return false
	})
	q.jobs = q.jobs[:q.head+len(kept)]
	return taken
}

func (q *queue) takeAll() []*job { return q.takeIf(func(*job) bool { return true }) }
