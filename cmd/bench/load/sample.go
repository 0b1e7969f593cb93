package load

import (
	"slices"
	"time"
)

// Sample is what a run measured.
type Sample struct {
	Elapsed   time.Duration   // from the first counted moment to the last answer
	Latencies []time.Duration // of the right answers, ascending
	Failed    int             // wrong answers
	Failure   error           // the first of them, nil if there is none
}

// PerSecond is the rate of right answers.
func (s Sample) PerSecond() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(len(s.Latencies)) / s.Elapsed.Seconds()
}

// Quantile is the latency that the share q of the right answers did not exceed; 0 if there are none.
func (s Sample) Quantile(q float64) time.Duration {
	if len(s.Latencies) == 0 {
		return 0
	}
	i := int(q*float64(len(s.Latencies))+0.5) - 1
	return s.Latencies[min(max(i, 0), len(s.Latencies)-1)]
}

// merge makes one sample of what the clients of a run saw; counted is when counting began.
func merge(clients []client, counted time.Time) Sample {
	var s Sample
	last := counted
	for i := range clients {
		c := &clients[i]
		s.Latencies = append(s.Latencies, c.latencies...)
		s.Failed += c.failed
		if s.Failure == nil {
			s.Failure = c.failure
		}
		if c.last.After(last) {
			last = c.last
		}
	}
	s.Elapsed = last.Sub(counted)
	slices.Sort(s.Latencies)
	return s
}
