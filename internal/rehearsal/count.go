package rehearsal

import (
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/stats"
)

// load is how many requests per second all instances of a target get.
func (m *member) load(at time.Time) float64 { return m.hours[stats.HourOfWeek(at)] }

// perInstance is how many requests per second one instance gets. Instances that
// answer share the load evenly.
func (at *part) perInstance(when time.Time) float64 {
	patched, former := at.site.arms()
	if patched+former == 0 {
		return 0
	}
	return at.load(when) / float64(patched+former)
}

// count adds the requests of patched instances since the last change. A play stops
// at the tick after each change of an instance, so the number of instances was the
// same in between.
func (at *part) count(until time.Time) {
	patched, _ := at.site.arms()
	if patched == 0 {
		return
	}
	if at.tally.first.IsZero() {
		at.tally.first = at.site.Now()
	}
	for from := at.site.Now(); from.Before(until); {
		to := from.Truncate(time.Hour).Add(time.Hour)
		if to.After(until) {
			to = until
		}
		at.tally.requests += float64(patched) * at.perInstance(from) * to.Sub(from).Seconds()
		from = to
	}
}

// note records a rollout's state for the report.
func (at *part) note(r *api.Rollout, now time.Time) {
	t := &at.tally
	if t.started.IsZero() && r.UnderWay() {
		t.started = now
	}
	if t.turned.IsZero() && r.Status == api.RolloutRollingBack {
		t.turned, t.why = now, turnedFor(r)
		if t.held != "" {
			t.why = "a person's word: " + t.held
		}
	}
	if held(r) != "" && t.held == "" {
		t.held = heldFor(r)
	}
	if a := r.Decision.Approval; r.Status == api.RolloutAwaitingApproval && t.approved == "" {
		t.approved = fmt.Sprintf("consent of %d", a.Count)
		if a.From != "" {
			t.approved += " from " + a.From
		}
	}
}

// turnedFor says why a rollout turned back. Many rollouts share the same words, so
// that the report can count them.
func turnedFor(r *api.Rollout) string {
	v := lastVerdict(r)
	switch {
	case v != nil && v.Kind == api.VerdictAbort:
		return "judged worse: " + kpis(v, api.VerdictAbort)
	case v != nil && v.Kind == api.VerdictInconclusive:
		return "stayed undecided: " + kpis(v, api.VerdictInconclusive)
	}
	for _, in := range r.Instances {
		if in.Build == api.BuildPatched && in.Health == api.Unhealthy {
			return "a patched instance is unhealthy: " + in.Because
		}
	}
	return "too few patched instances are healthy"
}

// heldFor says what a rollout holds for, in words that many rollouts share.
func heldFor(r *api.Rollout) string {
	if v := lastVerdict(r); v != nil && r.Holds[0].Source == "judge" {
		if v.Kind == api.VerdictAbort {
			return "judged worse: " + kpis(v, api.VerdictAbort)
		}
		if len(v.KPIs) == 0 {
			return v.Reason
		}
		return fmt.Sprintf("undecided after %s: %s", r.Decision.Judge.MaxDuration, kpis(v, api.VerdictInconclusive))
	}
	return r.Holds[0].Reason
}

func lastVerdict(r *api.Rollout) *api.Verdict {
	if n := len(r.Stages); n > 0 {
		return r.Stages[n-1].Verdict
	}
	return nil
}

// kpis names the KPIs of a verdict whose own verdict is the given one.
func kpis(v *api.Verdict, kind api.VerdictKind) string {
	var names []string
	for _, k := range v.KPIs {
		if k.Kind != kind {
			continue
		}
		if k.Missing {
			names = append(names, k.KPI+" (no data)")
			continue
		}
		names = append(names, k.KPI)
	}
	return strings.Join(names, ", ")
}
