package main

import "time"

// work is a stretch of time and the processor time of two processes in it.
type work struct {
	pids  [2]int // sender, server
	spent [2]time.Duration
	begin time.Time
}

// Side is how fast a run was and what it cost on both sides.
type Side struct {
	Rate   float64 `json:"pushes_per_second"`
	Sender float64 `json:"sender_cpu_s_per_million"`
	Server float64 `json:"server_cpu_s_per_million"`
}

func startWork(sender, server int) (w work, err error) {
	w.pids = [2]int{sender, server}
	if w.spent, err = w.read(); err != nil {
		return w, err
	}
	w.begin = time.Now()
	return w, nil
}

func (w *work) read() (spent [2]time.Duration, err error) {
	for i, pid := range w.pids {
		if spent[i], err = cpuTime(pid); err != nil {
			return spent, err
		}
	}
	return spent, nil
}

// side ends the work: n pushes in the time taken.
func (w *work) side(n int, taken time.Duration) (Side, error) {
	now, err := w.read()
	perMillion := func(i int) float64 { return (now[i] - w.spent[i]).Seconds() * 1e6 / float64(n) }
	return Side{Rate: float64(n) / taken.Seconds(), Sender: perMillion(0), Server: perMillion(1)}, err
}
