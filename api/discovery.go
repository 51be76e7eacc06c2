package api

import "time"

// KPIDiscovery says which KPIs the metrics in Prometheus can show, by the names that
// the usual libraries, proxies and exporters give them.
type KPIDiscovery struct {
	At      time.Time     `json:"at"`
	Metrics int           `json:"metrics"` // names of metrics that were seen
	Targets []KPICoverage `json:"targets"` // sorted by target
	// Unnamed are metrics of a convention whose series name no instance that runs.
	Unnamed []UnnamedMetric `json:"unnamed,omitempty"`
	// Missing is what could not be read; what is said of the KPIs may then be too little.
	Missing []string `json:"missing,omitempty"` // sorted
	Block   string   `json:"block,omitempty"`   // for the agent's configuration: what it takes to measure what is not measured yet
	Relabel string   `json:"relabel,omitempty"` // for Prometheus' configuration: what it takes to name instances
}

// KPICoverage is what one target's metrics can show.
type KPICoverage struct {
	Target    TargetRef    `json:"target"`
	Instances int          `json:"instances"`
	Has       []FoundKPI   `json:"has"`             // sorted by KPI
	Lacks     []LackingKPI `json:"lacks,omitempty"` // sorted by KPI
}

// FoundKPI is a KPI that some metric of a target shows.
type FoundKPI struct {
	KPI        string  `json:"kpi"`
	Kind       KPIKind `json:"kind"`
	Convention string  `json:"convention"`       // whose names those are; "the configuration" for a query that is in force
	Metric     string  `json:"metric,omitempty"` // what is read
	Label      string  `json:"label,omitempty"`  // which label names the instance
	Instances  int     `json:"instances"`        // that have it
	InForce    bool    `json:"in_force"`         // the agent's queries measure it already
}

// LackingKPI is a KPI that a judge usually asks for, and that a target does not show.
type LackingKPI struct {
	KPI string `json:"kpi"`
	Why string `json:"why"`
}

// UnnamedMetric is a metric whose series name no instance that runs.
type UnnamedMetric struct {
	Metric     string            `json:"metric"`
	Convention string            `json:"convention"`
	KPI        string            `json:"kpi"`
	Series     int               `json:"series"`           // groups of labels that may name instances
	Labels     map[string]string `json:"labels,omitempty"` // those of one of them
}
