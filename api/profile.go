package api

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// KPI names that Oakum knows by itself. Further ones are named in the agent
// configuration with their own query.
const (
	KPIErrorRate  = "error_rate"  // share of requests that failed, 0 to 1
	KPILatencyP50 = "latency_p50" // seconds
	KPILatencyP99 = "latency_p99" // seconds
	KPICPU        = "cpu"         // cores used per instance
	KPIMemory     = "memory"      // resident bytes per instance
	KPIRequests   = "requests"    // requests per second per instance
	KPIRestarts   = "restarts"    // task restarts per instance
	KPIOOMKills   = "oom_kills"   // tasks per instance that were killed for lack of memory
)

// KPIs that are measured where one of the usual exporters is scraped with the
// allocation's ID as a label: cAdvisor for containers, node_exporter in guests.
// Those of disks are also measured in simulations, by QEMU.
const (
	KPIIOOperations   = "io_operations"   // reads and writes of disks per second
	KPIIOBytes        = "io_bytes"        // bytes read from and written to disks per second
	KPIPressureCPU    = "pressure_cpu"    // share of the time that some task waited for a processor, 0 to 1
	KPIPressureMemory = "pressure_memory" // the same for memory
	KPIPressureIO     = "pressure_io"     // the same for disks
)

// KPIQuantile is the quantile that the name of a latency ends in: 0.999 for
// checkout_p999. It is false for other names.
func KPIQuantile(name string) (float64, bool) {
	i := strings.LastIndex(name, "_p")
	if i <= 0 {
		return 0, false
	}
	digits := name[i+2:]
	if len(digits) < 2 || len(digits) > 9 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	q, err := strconv.ParseFloat("0."+digits, 64)
	return q, err == nil && q > 0
}

// KPIKind says how a KPI is measured and judged.
type KPIKind string

// Kinds: events out of exposures, latencies as a histogram, sampled gauges.
const (
	KPICount   KPIKind = "count"
	KPILatency KPIKind = "latency"
	KPIGauge   KPIKind = "gauge"
)

// Profile is what a target's KPIs look like.
type Profile struct {
	Target      TargetRef  `json:"target"`
	Since       time.Time  `json:"since"`
	Updated     time.Time  `json:"updated"`
	Seen        time.Time  `json:"seen,omitzero"` // when Nomad last had the target, within an hour
	KPIs        []Baseline `json:"kpis"`          // sorted by KPI
	CreateIndex uint64     `json:"create_index,omitempty"`
	ModifyIndex uint64     `json:"modify_index,omitempty"`
}

// LastSeen is when the target was there for certain. Versions that did not say when
// they saw it have it learned from.
func (p Profile) LastSeen() time.Time {
	if p.Updated.After(p.Seen) {
		return p.Updated
	}
	return p.Seen
}

// Baseline is one KPI of a profile. Cold is true while there are too few
// samples to judge by.
type Baseline struct {
	KPI     string  `json:"kpi"`
	Kind    KPIKind `json:"kind"`
	Unit    string  `json:"unit"`
	Source  string  `json:"source"`
	Samples int64   `json:"samples"`
	Cold    bool    `json:"cold"`
	Last    float64 `json:"last"`
	Mean    float64 `json:"mean"`
	P50     float64 `json:"p50"`
	P90     float64 `json:"p90"`
	P99     float64 `json:"p99"`
	// Hours holds the mean per hour of week (0 is Monday 00:00 UTC), null
	// where nothing was seen.
	Hours []*float64 `json:"hours,omitempty"`
	// ControlRuns is how often stable instances were judged against each other,
	// an hour each, and ControlAlarms how often that aborted, which was false each
	// time. Distrust says why the KPI is left out of judgements because of that.
	ControlRuns   int    `json:"control_runs,omitempty"`
	ControlAlarms int    `json:"control_alarms,omitempty"`
	Distrust      string `json:"distrust,omitempty"`
	// Sketch is the mergeable quantile sketch behind the figures.
	Sketch []byte `json:"sketch,omitempty"`
	// HourSketches are the mergeable quantile sketches of the hours of the week,
	// packed. A record without them leaves those that are stored, and Hours with
	// them, as they are.
	HourSketches []byte `json:"hour_sketches,omitempty"`
	// Usual is what the hour that was asked for usually has, in the answer about one
	// target only; absent while the KPI is cold.
	Usual *Usual `json:"usual,omitempty"`
}

// Usual is what an hour of the week usually has, or all hours together while that
// one has fewer than a hundred samples.
type Usual struct {
	Hour    int     `json:"hour"`    // of the week; 0 is Monday 00:00 UTC
	Whole   bool    `json:"whole"`   // the figures cover all hours
	Samples int64   `json:"samples"` // behind the figures
	Mean    float64 `json:"mean"`
	P50     float64 `json:"p50"`
	P90     float64 `json:"p90"`
	P99     float64 `json:"p99"`
	// Unusual is the learned threshold: the level that one of a hundred samples is
	// above.
	Unusual float64 `json:"unusual_above"`
}

// VerdictKind is what a judge says.
type VerdictKind string

// Verdicts. Inconclusive never means promote.
const (
	VerdictAbort        VerdictKind = "abort"
	VerdictPromote      VerdictKind = "promote"
	VerdictContinue     VerdictKind = "continue"
	VerdictInconclusive VerdictKind = "inconclusive"
)

// Verdict is the outcome of one look at canary and stable.
type Verdict struct {
	Kind   VerdictKind `json:"kind"`
	At     time.Time   `json:"at"`
	Looks  int         `json:"looks"`
	Reason string      `json:"reason"` // one sentence for a person
	KPIs   []KPIEffect `json:"kpis"`
	// Blame says which of the rollouts at once in this neighbourhood explains what
	// got worse, best first; absent when there is one only, or nothing did.
	Blame []Blame `json:"blame,omitempty"`
	// Neighbours are the KPIs of targets joined by an edge that are clearly worse
	// than their baseline, or were and have not been seen to be well since; of both
	// arms, where such a target is being patched too.
	Neighbours []NeighbourEffect `json:"neighbours,omitempty"`
}

// NeighbourEffect is one KPI of a target beside a rollout's that got worse.
type NeighbourEffect struct {
	Target  TargetRef `json:"target"`
	KPI     string    `json:"kpi"`
	Unit    string    `json:"unit"`
	Value   float64   `json:"value"`             // over about the last minute before Seen
	Before  float64   `json:"before"`            // what its baseline has
	Since   time.Time `json:"since"`             // when it was first seen to be worse
	Earlier bool      `json:"earlier,omitempty"` // that was before the rollout's first stage began
	// Seen is when it was last seen to be worse. When that was before the verdict, nothing
	// has shown since that it is well. Exposure is what Value is of: requests,
	// instance-seconds, or samples of a gauge; 0 where the neighbour's own rollout has Value.
	Seen     time.Time `json:"seen,omitzero"`
	Exposure float64   `json:"exposure,omitempty"`
}

// Blame is how well one of several rollouts explains what got worse.
type Blame struct {
	Rollout string    `json:"rollout"`
	Target  TargetRef `json:"target"`
	Score   float64   `json:"score"`  // by time and place; only its order means something
	Share   float64   `json:"share"`  // of the instances in its reach, the share that got worse, 0 to 1
	Faults  int       `json:"faults"` // moments at which an instance in its reach got worse, after one of its stages began
}

// KPIEffect is one KPI of a verdict or of a simulation's impact: canary against
// stable, or treatment against control.
type KPIEffect struct {
	KPI      string      `json:"kpi"`
	Kind     VerdictKind `json:"kind"`
	Stable   float64     `json:"stable"`
	Canary   float64     `json:"canary"`
	Unit     string      `json:"unit"`
	Ratio    float64     `json:"ratio"`          // canary ÷ stable; 0 when stable is 0
	Low      float64     `json:"low,omitempty"`  // 95 percent limits of the ratio by this look alone; both 0 when unknown
	High     float64     `json:"high,omitempty"` // 0 when there is no upper limit
	Evidence float64     `json:"evidence"`       // log10 of the e-value, or of 1/p over planned looks, against "no worse than the margin"
	Needed   float64     `json:"needed"`         // log10 of the e-value that aborts
	Promote  float64     `json:"promote"`        // log10 of the e-value for "better than the margin"
	Exposure float64     `json:"exposure"`       // requests or instance-seconds seen on the canary
	Reason   string      `json:"reason"`
	Missing  bool        `json:"missing,omitempty"` // no data; never promotes
	// Unjudged KPIs are measured and reported, though the policy does not judge by them.
	Unjudged bool `json:"unjudged,omitempty"`
	// Before is the figure of the target's baseline. It is absent while the baseline is
	// cold. Worse is the time since which both arms are beyond Before by more than the
	// margins.
	Before *float64  `json:"before,omitempty"`
	Worse  time.Time `json:"worse,omitzero"`
}

// BakeTime is how long a stage is expected to be judged.
type BakeTime struct {
	Expected Duration `json:"expected"`          // until a healthy stage is promoted, on average; 0 when it can't be said
	Most     Duration `json:"most"`              // then it is inconclusive
	Late     bool     `json:"late,omitempty"`    // expected is more than most: the judgement will hardly end
	Slowest  string   `json:"slowest,omitempty"` // the KPI that takes longest
	Reason   string   `json:"reason"`            // what that rests on
	Unknown  []string `json:"unknown,omitempty"` // KPIs of which nothing is known yet
}

// String describes a bake time in one sentence.
func (b BakeTime) String() string { return b.text("") }

// Left describes the bake time of a stage that is being judged already. Both times
// are counted from now on.
func (b BakeTime) Left() string { return b.text(" more") }

func (b BakeTime) text(more string) string {
	about := func(d Duration) string {
		switch t := d.D(); {
		case t >= 2*time.Hour:
			return fmt.Sprintf("%.0f h%s", t.Hours(), more)
		case t >= 2*time.Minute:
			return fmt.Sprintf("%.0f min%s", t.Minutes(), more)
		default:
			return fmt.Sprintf("%.0f s%s", t.Seconds(), more)
		}
	}
	var text string
	switch {
	case b.Expected <= 0:
		text = "how long it takes can't be said (" + b.Reason + ")"
	case b.Late:
		text = fmt.Sprintf("would promote after about %s at today's traffic, which is more than it may take", about(b.Expected))
	default:
		text = fmt.Sprintf("promotes after about %s at today's traffic", about(b.Expected))
	}
	if b.Most > 0 {
		text += "; at most " + about(b.Most)
	}
	return text
}
