package workload

import "fmt"

// carries is the part of the traffic from which on a request must be covered.
const carries = 0.05

// Coverage is the part of the recorded requests that a run has covered, from 0 to 1, and
// the requests without which the run says nothing: those that make up 5 % or more and
// were never sent. Sent counts the requests of the run, in the order of Requests.
func (w Workload) Coverage(sent []int) (covered float64, missing []string) {
	for i := range w.Requests {
		share := w.Share(i)
		switch {
		case i < len(sent) && sent[i] > 0:
			covered += share
		case share >= carries:
			missing = append(missing, fmt.Sprintf("%.120s (%.0f %% of the traffic)", w.Requests[i], 100*share))
		}
	}
	return covered * w.Kept(), missing
}
