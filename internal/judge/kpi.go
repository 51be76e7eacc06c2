package judge

import (
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// KPI describes a quantity to the judge: everything that it needs besides the margins.
type KPI struct {
	Name     string      `json:"name"`
	Kind     api.KPIKind `json:"kind"`
	Unit     string      `json:"unit"`
	Quantile float64     `json:"quantile,omitempty"` // of a latency, 0 to 1
	// Dispersion is how much more than chance the arms differ without any
	// patch; counts are divided by it. Below 1 means 1.
	Dispersion float64 `json:"dispersion,omitempty"`
	// Phi is the autocorrelation of a gauge's differences from look to look, when
	// PhiKnown, and PhiError its standard error.
	Phi      float64 `json:"phi,omitempty"`
	PhiKnown bool    `json:"phi_known,omitempty"`
	PhiError float64 `json:"phi_error,omitempty"`
	// Noise is how much a gauge's arms differ without any patch.
	Noise Noise `json:"noise,omitzero"`
	// Level is how a gauge's own values vary from look to look, for a canary
	// without a stable arm; nil when nobody knows.
	Level *stats.History `json:"level,omitempty"`
	// Scrape is how many seconds are at most between two samples of a gauge; 0 means
	// DefaultScrape.
	Scrape float64 `json:"scrape,omitempty"`
	// Reference sums up stable instances of earlier, for a stage that leaves no stable
	// instance to compare with.
	Reference Reference `json:"reference,omitzero"`
	// Drift is how far all instances together may be from the reference without any
	// patch, as their load and their machines change. For a count it is a difference of
	// rates, for a latency the logarithm of a factor. A gauge has its Level instead.
	Drift float64 `json:"drift,omitempty"`
	// Resolution is the difference of rates below which a count is well whatever its
	// margins. A trial that has few requests shows no less.
	Resolution float64 `json:"resolution,omitempty"`
	// Unlike is how far a gauge or a latency of the two arms may be apart as a whole
	// without any patch.
	Unlike Unlike `json:"unlike,omitzero"`
}

// Unlike holds two factors, at least 1, where 0 means 1. Two virtual machines that boot
// from the same image differ from then on, and one look after the other shows the same
// difference. An abort needs proof of being beyond the margin by the factor Abort, and a
// promotion of being within it by the factor Promote.
type Unlike struct {
	Abort   float64 `json:"abort,omitempty"`
	Promote float64 `json:"promote,omitempty"`
}

// margins are a policy's, moved apart by what is unlike without any patch.
type margins struct {
	api.Margins
	Unlike Unlike `json:"unlike,omitzero"`
}

func marginsOf(kpi KPI, spec api.KPISpec) margins { return margins{spec.Margins(), kpi.Unlike} }

func (m margins) AbortLimit(x float64) float64 {
	return m.Margins.AbortLimit(x) * max(m.Unlike.Abort, 1)
}

func (m margins) PromoteLimit(x float64) float64 {
	return m.Margins.PromoteLimit(x) / max(m.Unlike.Promote, 1)
}

func (m margins) AbortBase(y float64) float64 { return m.Margins.AbortBase(y / max(m.Unlike.Abort, 1)) }

func (m margins) PromoteBase(y float64) float64 {
	return m.Margins.PromoteBase(y * max(m.Unlike.Promote, 1))
}

// Noise is the variance of the mean over each arm's instances about what both
// arms have in common, learned from N differences.
type Noise struct {
	Canary float64 `json:"canary"`
	Stable float64 `json:"stable"`
	N      float64 `json:"n"`
}

// Reference sums up the stable arm.
type Reference struct {
	Events   float64      `json:"events,omitempty"`
	Exposure float64      `json:"exposure,omitempty"`
	Upper    stats.Vector `json:"upper,omitempty"`  // latency: bucket bounds
	Counts   stats.Vector `json:"counts,omitempty"` // latency: requests per bucket, one more than bounds
	N        float64      `json:"n,omitempty"`      // gauge: intervals
	Mean     float64      `json:"mean,omitempty"`
	M2       float64      `json:"m2,omitempty"` // gauge: sum of squared deviations
}

// Units of the KPIs.
const (
	UnitShare   = "share"
	UnitSeconds = "seconds"
	UnitCores   = "cores"
	UnitBytes   = "bytes"
	UnitRate    = "1/s"

	UnitByteRate = "bytes/s"
)

// Known describes a KPI by its name. It knows the KPIs of package api, and
// latency_pN for any N.
func Known(name string) (KPI, bool) {
	switch name {
	case api.KPIErrorRate:
		return KPI{Name: name, Kind: api.KPICount, Unit: UnitShare}, true
	case api.KPIRestarts, api.KPIOOMKills:
		return KPI{Name: name, Kind: api.KPICount, Unit: UnitRate}, true
	case api.KPICPU:
		return KPI{Name: name, Kind: api.KPIGauge, Unit: UnitCores}, true
	case api.KPIMemory:
		return KPI{Name: name, Kind: api.KPIGauge, Unit: UnitBytes}, true
	case api.KPIRequests:
		return KPI{Name: name, Kind: api.KPIGauge, Unit: UnitRate}, true
	}
	if digits, ok := strings.CutPrefix(name, "latency_p"); !ok || strings.Contains(digits, "_") {
		return KPI{}, false
	}
	return Own(name, api.KPILatency, UnitSeconds)
}

// Own describes a KPI that the configuration or a policy has a query for. The name of a
// latency ends in its quantile, as checkout_p99 does. It is false for another name, and
// for a kind that does not exist.
func Own(name string, kind api.KPIKind, unit string) (KPI, bool) {
	kpi := KPI{Name: name, Kind: kind, Unit: unit}
	switch kind {
	case api.KPIGauge:
		return kpi, true
	case api.KPICount:
		if unit == "" {
			kpi.Unit = UnitShare
		}
		return kpi, true
	case api.KPILatency:
		q, ok := api.KPIQuantile(name)
		kpi.Quantile, kpi.Unit = q, UnitSeconds
		return kpi, ok
	}
	return KPI{}, false
}
