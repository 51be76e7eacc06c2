package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Policy is one HCL policy file as it was applied. What it means is decided by
// package policies, which turns it into Decisions.
type Policy struct {
	Name        string     `json:"name"`              // file name without directory and .hcl
	Version     int        `json:"version,omitempty"` // from cluster level 8 on
	File        SourceFile `json:"file"`
	Blocks      []string   `json:"blocks"` // names of the policy blocks in it
	Builtin     bool       `json:"builtin,omitempty"`
	AppliedBy   string     `json:"applied_by,omitempty"`
	AppliedAt   time.Time  `json:"applied_at,omitzero"`
	CreateIndex uint64     `json:"create_index,omitempty"`
	ModifyIndex uint64     `json:"modify_index,omitempty"`
}

// Decision is what the policies say about one patch on one target: whether,
// how and when, each part with the block that decided it.
type Decision struct {
	Target     TargetRef    `json:"target"`
	Critical   bool         `json:"critical"`
	Simulate   SimulateSpec `json:"simulate"`
	Strategy   StrategySpec `json:"strategy"`
	Judge      JudgeSpec    `json:"judge"`
	Budget     BudgetSpec   `json:"budget"`
	Windows    []Window     `json:"windows,omitempty"`
	Freezes    []Freeze     `json:"freezes,omitempty"`
	Approval   ApprovalSpec `json:"approval"`
	Rollback   RollbackSpec `json:"rollback"`
	Deadline   Duration     `json:"deadline"`             // an instance must be healthy within this after its stage began
	Pause      Duration     `json:"pause,omitempty"`      // between the end of a wave and the start of the next
	PreferLow  bool         `json:"prefer_low,omitempty"` // prefer = "lowest_load"
	Because    []Because    `json:"because"`
	Weaknesses []string     `json:"weaknesses,omitempty"` // missing sources that weaken this decision
	Doubt      *Doubt       `json:"doubt,omitempty"`      // why Oakum itself asks for an approval
	Order      string       `json:"order,omitempty"`      // of waves, one of the Orders; empty for OrderLeastCriticalFirst
	Selection  *Selection   `json:"selection,omitempty"`  // nil when no policy selects
	// JobDeadline says that no policy sets a deadline: the job's own healthy_deadline holds, and
	// Deadline where the job has none.
	JobDeadline bool `json:"job_deadline,omitempty"`
}

// Orders of the waves of a plan, as Decision.Order has them.
const (
	OrderLeastCriticalFirst = "least_critical_first" // critical targets last; a service before what it depends on
	OrderExposedFirst       = "exposed_first"        // the most exposed first, whatever depends on what
	OrderCalleesFirst       = "callees_first"        // what others depend on before them, critical or not
	OrderCallersFirst       = "callers_first"        // a service before what it depends on, critical or not
)

// Orders lists the orders of waves.
func Orders() []string {
	return []string{OrderLeastCriticalFirst, OrderExposedFirst, OrderCalleesFirst, OrderCallersFirst}
}

// Selection is whether the select block of a policy takes a target.
type Selection struct {
	Chosen bool             `json:"chosen"` // false: there is nothing to do
	Status AssessmentStatus `json:"status,omitempty"`
	Reason string           `json:"reason"`
}

// What a select block does with targets of which nobody knows whether they are affected:
// try the patch in the sandbox and go on, ask a person, or leave them out.
const (
	UnknownInclude = "include"
	UnknownHold    = "hold"
	UnknownExclude = "exclude"
)

// Because records which block of which file decided a field.
type Because struct {
	Field  string `json:"field"`  // field path such as "strategy" or "judge.kpi.latency_p99"
	Policy string `json:"policy"` // policy block name
	Range  string `json:"range"`  // file:line,column
	Reason string `json:"reason"` // in words, with the values that decided
}

// SimulateSpec says whether and how a patch is tried on twins.
type SimulateSpec struct {
	Required bool     `json:"required"`
	Duration Duration `json:"duration"` // how long both twins are measured
	Workload string   `json:"workload"` // "replay": the target's recorded rate against its recorded paths; "program" with Program

	Pairs          int    `json:"pairs,omitempty"`           // pairs of boots; 0 for one, and for two when a minute or more is measured
	OnInconclusive string `json:"on_inconclusive,omitempty"` // empty: "approve" for a critical target, "one_first" for any other
	Pool           string `json:"pool,omitempty"`            // Nomad node pool of the twins; empty for the target's own
	Recorded       string `json:"recorded,omitempty"`        // hex SHA-256 of the recorded workload; empty for "replay"
	Revert         string `json:"revert,omitempty"`          // whether the revert is rehearsed; empty: where the target has data
	Data           string `json:"data,omitempty"`            // what twins have for production's data disks; empty: a disk laid over it
	Stubs          []Stub `json:"stubs,omitempty"`           // by name
	// Env are environment variables of twins, in the place of production's own. A virtual
	// machine takes those that its arguments name. Whoever may read the policy sees the
	// values.
	Env map[string]string `json:"env,omitempty"`
	// Program sends the requests in the place of the workload.
	Program *LoadProgram `json:"program,omitempty"`
}

// Values of SimulateSpec.Revert. RevertRequired leaves a run inconclusive whose target
// has data over which the revert could not be rehearsed.
const (
	RevertRequired = "required"
	RevertOff      = "off"
)

// DataEmpty as SimulateSpec.Data gives twins empty disks for the data disks of
// production.
const DataEmpty = "empty"

// What follows an inconclusive simulation: a person must approve, the rollout holds,
// or it goes on with a first stage of one instance.
const (
	InconclusiveApprove  = "approve"
	InconclusiveHold     = "hold"
	InconclusiveOneFirst = "one_first"
)

// Inconclusive is what follows when the simulation can't decide.
func (d *Decision) Inconclusive() string {
	switch {
	case d.Simulate.OnInconclusive != "":
		return d.Simulate.OnInconclusive
	case d.Critical:
		return InconclusiveApprove
	}
	return InconclusiveOneFirst
}

// StrategySpec names the plugin and its configuration (a JSON object of the
// schema that the plugin published).
type StrategySpec struct {
	Name   string          `json:"name"`
	Config json.RawMessage `json:"config"`
}

// Methods of a judge. Evidence, the default, keeps what false_alarm and miss
// promise; Kayenta follows Kayenta's rules and promises nothing.
const (
	JudgeEvidence = "evidence"
	JudgeKayenta  = "kayenta"
)

// JudgeSpec says how canary and stable are compared.
type JudgeSpec struct {
	Enabled        bool      `json:"enabled"`
	Method         string    `json:"method,omitempty"`
	FalseAlarm     float64   `json:"false_alarm"` // alpha, over all KPIs
	Miss           float64   `json:"miss"`        // beta
	KPIs           []KPISpec `json:"kpis"`
	Interval       Duration  `json:"interval"`               // time between looks
	MinDuration    Duration  `json:"min_duration,omitempty"` // of a stage, however clear it is; at most MaxDuration
	MaxDuration    Duration  `json:"max_duration"`           // per stage, then inconclusive
	OnInconclusive string    `json:"on_inconclusive"`        // "hold" or "rollback"
}

// KPISpec holds the margins of one KPI. Ratios are canary ÷ stable. A
// difference below IgnoreBelow (in the KPI's unit) is never a regression.
type KPISpec struct {
	KPI          string  `json:"kpi"`
	AbortAbove   float64 `json:"abort_above"`   // > 1; evidence that the ratio exceeds it aborts
	PromoteBelow float64 `json:"promote_below"` // > abort_above; evidence that the ratio is below it promotes
	IgnoreBelow  float64 `json:"ignore_below,omitempty"`
	Query        string  `json:"query,omitempty"`  // PromQL of a KPI that Oakum does not know by itself, one series per allocation
	Kind         KPIKind `json:"kind,omitempty"`   // what Query is: of a gauge when empty
	Total        string  `json:"total,omitempty"`  // of a count: PromQL of all events, of which Query counts those that failed
	Weight       float64 `json:"weight,omitempty"` // share of alpha; 0 means an equal share
}

// Margins are how much worse a canary may be. The fields are the fields of KPISpec.
type Margins struct {
	AbortAbove   float64 `json:"abort_above"`
	PromoteBelow float64 `json:"promote_below"`
	IgnoreBelow  float64 `json:"ignore_below,omitempty"`
}

// Margins are the margins of the KPI.
func (s *KPISpec) Margins() Margins { return Margins{s.AbortAbove, s.PromoteBelow, s.IgnoreBelow} }

// AbortLimit is the figure above which a canary is worse where the stable arm has
// x: by the ratio and by the difference.
func (m Margins) AbortLimit(x float64) float64 { return max(x*m.AbortAbove, x+m.IgnoreBelow) }

// PromoteLimit is the figure below which a canary is well where the stable arm has x.
func (m Margins) PromoteLimit(x float64) float64 { return max(x*m.PromoteBelow, x+m.IgnoreBelow) }

// AbortBase is the x of which y is the AbortLimit; not positive where the
// difference alone is wider than y.
func (m Margins) AbortBase(y float64) float64 { return min(y/m.AbortAbove, y-m.IgnoreBelow) }

// PromoteBase is the x of which y is the PromoteLimit, likewise.
func (m Margins) PromoteBase(y float64) float64 { return min(y/m.PromoteBelow, y-m.IgnoreBelow) }

// BudgetSpec limits what may be in flight. Percentages round up.
type BudgetSpec struct {
	InstancesPercent int `json:"instances_percent,omitempty"` // instances of one target not serving at once
	Instances        int `json:"instances,omitempty"`         // the same as a number; 0 means unlimited
	Targets          int `json:"targets,omitempty"`           // rollouts running at once; 0 means unlimited
	Failures         int `json:"failures,omitempty"`          // rolled back targets of one patch after which no further one starts
	// PolicyFailures are the limits of single policies, which count their own targets alone.
	PolicyFailures []PolicyFailures `json:"policy_failures,omitempty"`
	Neighbours     string           `json:"neighbours,omitempty"` // "exclusive": no two targets joined by an edge at once
}

// PolicyFailures is how many targets of one patch that a policy applies to may fail, before no
// further one that it applies to starts.
type PolicyFailures struct {
	Policy string `json:"policy"`
	Most   int    `json:"most"`
}

// Applied reports whether a policy applied to the target, as the reasons of the decision say.
func (d *Decision) Applied(policy string) bool {
	return slices.ContainsFunc(d.Because, func(b Because) bool { return b.Field == FieldPolicy && b.Policy == policy })
}

// FieldPolicy is the field of the reasons that say why a policy applies.
const FieldPolicy = "policy"

// Window is when a wave may start.
type Window struct {
	Name     string   `json:"name"`
	Start    string   `json:"start"`            // cron expression, or a recurrence rule of RFC 5545
	Except   []string `json:"except,omitempty"` // days on which it does not open, such as 2026-12-24
	Length   Duration `json:"length"`
	Timezone string   `json:"timezone"`
	Cutoff   string   `json:"cutoff"` // "finish" or "hold"
}

// Freeze is when nothing may start. To is exclusive.
type Freeze struct {
	Name   string    `json:"name"`
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Reason string    `json:"reason"`
}

// String names the freeze with its end and its reason.
func (f Freeze) String() string {
	return fmt.Sprintf("freeze %q until %s: %s", f.Name, f.To.UTC().Format(time.RFC3339), f.Reason)
}

// Frozen returns the freeze that is on at a time, the one that ends last.
func (d *Decision) Frozen(at time.Time) (Freeze, bool) {
	found, ok := Freeze{}, false
	for _, f := range d.Freezes {
		if !at.Before(f.From) && at.Before(f.To) && (!ok || f.To.After(found.To)) {
			found, ok = f, true
		}
	}
	return found, ok
}

// ApprovalSpec says whose consent is needed. Count 0 means none.
type ApprovalSpec struct {
	From  string `json:"from,omitempty"` // a group claimed by the approver's identity
	Count int    `json:"count,omitempty"`
	Self  bool   `json:"self,omitempty"` // whether the consent of whoever submitted the patch counts
	// Expires is how long a consent counts while the rollout has not begun; zero for ever.
	Expires Duration `json:"expires,omitempty"`
}

// RollbackSpec says what makes a rollout turn back by itself, and how it goes back.
type RollbackSpec struct {
	OnVerdict  bool `json:"on_verdict"`
	OnHealth   bool `json:"on_health"`
	OnDeadline bool `json:"on_deadline"`
	OnDenied   bool `json:"on_denied,omitempty"` // the target begins to try what intentions deny; false holds
	Quarantine bool `json:"quarantine"`
	AtOnce     bool `json:"at_once,omitempty"` // every instance goes back at the same time; false keeps the budget
	// Window is for how long after its end a rollout may be taken back; 0 for not at all.
	Window Duration `json:"window,omitempty"`
	// Automatic takes a complete rollout back within the window when a KPI that its stages
	// were judged by gets worse and nothing else explains it; false tells, and leaves it to a
	// person.
	Automatic bool `json:"automatic,omitempty"`
}
