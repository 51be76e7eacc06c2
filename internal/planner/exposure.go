package planner

import (
	"fmt"
	"math/bits"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// reach is how many calls lie between the outside and each service: 0 for those that the
// outside calls. A service that it lacks is not known to be called by anybody.
type reach map[string]int

// reachOf walks the possible edges from the outside. Called from there are entries, which
// nothing in the graph calls, gateways, what gateways and places beyond the mesh call,
// and what is called by ends that the mesh does not know.
func reachOf(g api.Graph) reach {
	beyond, called := map[string]bool{}, map[string]bool{}
	for _, s := range g.Services {
		beyond[s.Name] = s.Kind == api.KindOutside || s.Kind == api.KindGateway
	}
	next := map[string][]string{}
	out := reach{}
	for _, e := range g.Edges {
		if e.From == e.To || !e.State.Possible() {
			continue
		}
		called[e.To] = true
		next[e.From] = append(next[e.From], e.To)
		if beyond[e.From] || e.State == api.EdgeObservedOffMesh {
			out[e.To] = 0
		}
	}
	for _, s := range g.Services {
		if beyond[s.Name] || !called[s.Name] {
			out[s.Name] = 0
		}
	}
	wave := make([]string, 0, len(out))
	for name := range out {
		wave = append(wave, name) // in any order: each wave has one number of hops
	}
	for hops := 1; len(wave) > 0; hops++ {
		var following []string
		for _, from := range wave {
			for _, to := range next[from] {
				if _, known := out[to]; !known {
					out[to] = hops
					following = append(following, to)
				}
			}
		}
		wave = following
	}
	return out
}

// hops is the least number of calls from the outside to any service of a target; -1 when
// no path is known.
func (r reach) hops(t api.Target) int {
	least := -1
	for _, name := range t.Services {
		if n, ok := r[name]; ok && (least < 0 || n < least) {
			least = n
		}
	}
	return least
}

// exposureOf is the share of one target. What nobody knows counts in full: a target that
// no path from outside is known to, and one of which nobody knows whether it is affected.
func exposureOf(t api.Target, c api.Criticality, a *api.TargetAssessment, patch api.Severity, from reach) *api.TargetExposure {
	hops := from.hops(t)
	out := &api.TargetExposure{Hops: hops}
	where := fmt.Sprintf("%s from outside", count(hops, "call"))
	switch {
	case hops < 0:
		where = "no path from outside is known, so it counts as called from there"
	case hops == 0:
		where = "called from outside"
	}
	if a.Status != api.AssessmentAffected && a.Status != api.AssessmentUnknown {
		out.Reason = strings.ReplaceAll(string(a.Status), "_", " ")
		return out
	}
	fault, why := faultOf(a, patch)
	out.Value = fault * float64(1+bits.Len(uint(max(0, c.BlastRadius)))) / float64(1+max(0, hops))
	out.Reason = fmt.Sprintf("%s, %s, %s", where, why, count(c.BlastRadius, "dependant"))
	return out
}

// faultOf is how grave the faults of a target are: a tenth of the CVSS score, or by the
// word for the severity, and twice that when they are known to be exploited. The word
// counts as well where it is graver than the score: another advisory, which has no score,
// says it.
func faultOf(a *api.TargetAssessment, patch api.Severity) (float64, string) {
	severity := a.Severity
	if severity == "" {
		severity = patch
	}
	grave, why := map[api.Severity]float64{api.SeverityLow: 0.25, api.SeverityMedium: 0.5, api.SeverityHigh: 0.75, api.SeverityCritical: 1}[severity], "severity "+string(severity)
	if a.Score > 0 && a.Score >= leastScore(a.Severity) {
		grave, why = a.Score/10, fmt.Sprintf("CVSS %.1f", a.Score)
	}
	if a.Exploited {
		return 2 * grave, why + ", known to be exploited"
	}
	return grave, why
}

// leastScore is the least CVSS score of a severity; 0 for the lowest and for none.
func leastScore(s api.Severity) float64 {
	return map[api.Severity]float64{api.SeverityMedium: 4, api.SeverityHigh: 7, api.SeverityCritical: 9}[s]
}

// curve is how much exposure is left after each wave. Stays is that of the targets which
// the patch does not go to.
func curve(waves []api.Wave, stays float64) *api.Exposure {
	of := make([]float64, len(waves))
	left := stays
	for i := len(waves) - 1; i >= 0; i-- {
		of[i] = left
		for _, t := range waves[i].Targets {
			if t.Exposure != nil {
				left += t.Exposure.Value
			}
		}
	}
	return &api.Exposure{Before: left, Left: of}
}
