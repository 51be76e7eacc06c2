package api

import "time"

// KPICheck says what the queries of the KPIs in force answer, and what is behind the answers.
type KPICheck struct {
	At      time.Time    `json:"at"`
	Window  Duration     `json:"window"`  // over which samples and resets were counted
	Running int          `json:"running"` // instances
	KPIs    []CheckedKPI `json:"kpis"`    // sorted by name
	// Missing is what could not be read; what is said may then be too little.
	Missing []string `json:"missing,omitempty"`
}

// CheckedKPI is one KPI that is learned, or by which a policy judges.
type CheckedKPI struct {
	KPI      string         `json:"kpi"`
	Kind     KPIKind        `json:"kind,omitempty"`
	Source   string         `json:"source,omitempty"`   // "" where nobody has a query for it
	Policies []string       `json:"policies,omitempty"` // that judge by it, sorted; those whose KPIs depend on the target are left out
	Queries  []CheckedQuery `json:"queries,omitempty"`  // none for what Nomad says
}

// CheckedQuery is one query, and its answer.
type CheckedQuery struct {
	Of        string          `json:"of"`              // value, events, failed or histogram
	Query     string          `json:"query"`           // as Prometheus is asked
	Error     string          `json:"error,omitempty"` // why there is no answer
	Took      Duration        `json:"took"`
	Samples   int             `json:"samples,omitempty"`   // that Prometheus read for the answer; 0 where it does not say
	Bytes     int             `json:"bytes,omitempty"`     // of the answer
	Series    int             `json:"series"`              // in the answer
	Instances int             `json:"instances"`           // that run and have an answer
	Strangers int             `json:"strangers,omitempty"` // series of the answer that name no instance that runs
	Silent    []TargetRef     `json:"silent,omitempty"`    // targets that run and have no answer of any instance, sorted
	Metrics   []CheckedMetric `json:"metrics,omitempty"`
}

// CheckedMetric is one metric behind a query.
type CheckedMetric struct {
	Metric      string   `json:"metric"`
	Error       string   `json:"error,omitempty"` // why nothing is known of it
	Series      int      `json:"series"`
	PerInstance int      `json:"per_instance"`       // the most series of one instance
	Every       Duration `json:"every,omitempty"`    // between two samples of the series that has most
	Gaps        []string `json:"gaps,omitempty"`     // instances of which a series lacks samples, sorted, at most 16
	GapCount    int      `json:"gap_count"`          // how many there are
	Resets      []string `json:"resets,omitempty"`   // instances of which a counter began anew, sorted, at most 16
	ResetCount  int      `json:"reset_count"`        // how many there are
	By          string   `json:"by_label,omitempty"` // by which label the instances are told here
}
