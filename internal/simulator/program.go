package simulator

import (
	"fmt"
	"time"
)

// sent says what both twins were sent.
func (r Request) sent() string {
	if r.Spec.Program != nil {
		return fmt.Sprintf("what the load program %s asks, at most %s", r.Spec.Program.Command, r.rate.Reason)
	}
	return r.rate.Reason
}

// doubtLoad notes that a load program has sent a pair less than the run was planned for,
// when the time for that is over. What the run could have found was computed from the plan.
func (e *experiment) doubtLoad(over bool, planned time.Duration, arms []*arm) {
	program, sent, least := e.request.Spec.Program, min(arms[0].sent(), arms[1].sent()), e.workload.least(planned)
	if program == nil || !over || sent >= least {
		return
	}
	e.doubts = append(e.doubts, fmt.Sprintf("the load program %s sent a twin %d requests, of which %d are the least", program.Command, sent, least))
}
