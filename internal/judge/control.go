package judge

import (
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

const (
	// controlAlpha is the false-alarm share that a control is held to.
	controlAlpha = 0.01
	// controlLooks is how long one run of a control is: an hour of looks every
	// five seconds.
	controlLooks = 720
	// controlMost is how many runs are remembered; then both counts are halved,
	// so that a KPI that has become quiet comes back.
	controlMost = 200
	// controlDoubt is how unlikely the alarms must be, if the KPI kept its
	// guarantee, before it is taken out of judgement.
	controlDoubt = 0.01
)

// Control is the negative control of one KPI: the judge on stable instances
// against other stable instances, where every abort is a false alarm. Half of
// the instances play the canary, in turns, from run to run; a run ends with an
// alarm or after an hour of looks. The zero value is ready for use.
type Control struct {
	Runs   int `json:"runs"` // ended
	Alarms int `json:"alarms"`

	bank *Bank // of the run in progress; a new leader starts it over
}

// Observe adds one interval of both halves. At must rise.
func (c *Control) Observe(kpi KPI, one, other Measure, at time.Time, seconds float64) {
	if c.bank == nil {
		kpi.Reference.N, kpi.Reference.Mean, kpi.Reference.M2 = 0, 0, 0
		spec := api.JudgeSpec{Enabled: true, FalseAlarm: controlAlpha, Miss: controlAlpha,
			KPIs: []api.KPISpec{{KPI: kpi.Name, AbortAbove: 1, PromoteBelow: 2}}}
		bank, err := New(spec, []KPI{kpi}, Stage{Started: at})
		if err != nil {
			return // a KPI of no known kind
		}
		c.bank = bank
	}
	if c.Runs%2 == 1 {
		one, other = other, one
	}
	c.bank.Observe(Look{At: at, Seconds: seconds, KPIs: map[string]Pair{kpi.Name: {Canary: one, Stable: other}}})
	switch {
	case c.bank.Aborted():
		c.Alarms++
	case c.bank.Looks() < controlLooks:
		return
	}
	c.Runs++
	c.bank = nil
	if c.Runs >= controlMost {
		c.Runs, c.Alarms = c.Runs/2, (c.Alarms+1)/2
	}
}

// Rate is the share of the runs that ended in a false alarm, 0 without any.
func (c *Control) Rate() float64 {
	if c.Runs == 0 {
		return 0
	}
	return float64(c.Alarms) / float64(c.Runs)
}

// Distrust says why the KPI can't be judged, or "": its false alarms exceed the
// guarantee by more than chance explains.
func (c *Control) Distrust() string {
	if c.Alarms < 2 {
		return ""
	}
	if low, _ := stats.ShareBounds(c.Alarms, c.Runs, controlDoubt); low <= controlAlpha {
		return ""
	}
	return fmt.Sprintf("equal instances were called different in %d of %d runs", c.Alarms, c.Runs)
}
