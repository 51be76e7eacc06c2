package blame

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// Attribute completes a verdict of r with the vote on which of the rollouts under
// way explains what got worse at r's target and at the neighbours that the verdict
// names. Open are the open rollouts, r among them or not; around lists the targets
// that a rollout may have hurt besides its own. The vote only ever takes a promotion back:
//
//   - An abort stays one: the rollout's own patched instances are worse than the
//     former ones, whoever else is in trouble.
//   - A rollout whose patched and former instances alike got worse, and which
//     another explains better, goes on being judged until that one has ended.
//   - A rollout that explains best what got worse at a neighbour waits for that to
//     be over, for as long as a stage may be judged; then it is inconclusive, so
//     that the policy or a person decides what becomes of it.
func Attribute(r api.Rollout, v api.Verdict, open []api.Rollout, around func(api.Rollout) []api.Target) api.Verdict {
	v = markWorse(r, v)
	r.Verdict = &v
	// What was worse before the first stage began is not this rollout's doing.
	news := slices.DeleteFunc(slices.Clone(v.Neighbours), func(e api.NeighbourEffect) bool { return e.Earlier })
	own := len(faultsOf(r)) > 0
	if !own && len(news) == 0 {
		return v
	}
	b := newBallot(r, open, around)
	if own {
		v = deferTo(r, v, b.explain(r.Target))
	}
	for _, e := range news {
		if votes := b.explain(e.Target); len(votes) > 0 && votes[0].Rollout == r.ID {
			if v.Blame == nil {
				v.Blame = contested(r, votes)
			}
			return waitFor(r, v, e)
		}
	}
	return v
}

// Other is the rollout that the newest verdict of r blames when it is not r
// itself; else it is empty.
func Other(r api.Rollout) string {
	if r.Verdict == nil || len(r.Verdict.Blame) == 0 || r.Verdict.Blame[0].Rollout == r.ID {
		return ""
	}
	return r.Verdict.Blame[0].Rollout
}

// deferTo applies the votes on a rollout's own target to its verdict: it waits for
// another rollout that has more votes.
func deferTo(r api.Rollout, v api.Verdict, votes []api.Blame) api.Verdict {
	v.Blame = contested(r, votes)
	if len(votes) == 0 || votes[0].Rollout == r.ID {
		return v
	}
	best := votes[0]
	if v.Kind == api.VerdictAbort {
		v.Reason += fmt.Sprintf("; rollout %s of %s explains what got worse around it better, but the patched instances are worse than the former ones",
			best.Rollout, best.Target)
		return v
	}
	if v.Kind == api.VerdictPromote {
		v.Kind = api.VerdictContinue
	}
	v.Reason = fmt.Sprintf("%s, which rollout %s of %s explains better; waits until that has ended; %s",
		describeBothArms(*firstWorse(v)), best.Rollout, best.Target, v.Reason)
	return v
}

// waitFor takes a promotion back until a neighbour is well again. A neighbour that
// has been worse for as long as a stage may be judged is a question for the policy.
// One that got worse at the end of the stage has that time too. Who reads that a stage
// stayed undecided is told of the neighbour.
func waitFor(r api.Rollout, v api.Verdict, e api.NeighbourEffect) api.Verdict {
	if v.Kind == api.VerdictAbort {
		return v
	}
	when := "since " + clock(e.Since)
	if e.Seen.Before(v.At) {
		when += ", last seen at " + clock(e.Seen)
	}
	worse := fmt.Sprintf("%s of its neighbour %s is worse than before (%s against %s, %s), which this rollout explains best",
		e.KPI, e.Target, judge.Format(e.Value, e.Unit), judge.Format(e.Before, e.Unit), when)
	most := r.Decision.Judge.MaxDuration.D()
	since := e.Since
	if ready := r.Stages[len(r.Stages)-1].Ready; ready.After(since) {
		since = ready
	}
	if v.Kind == api.VerdictPromote && most > 0 && v.At.Sub(since) >= most {
		v.Kind = api.VerdictInconclusive
		v.Reason = fmt.Sprintf("%s, and that is not over within %s; %s", worse, most, v.Reason)
		return v
	}
	if v.Kind == api.VerdictInconclusive {
		v.Reason = fmt.Sprintf("%s; %s", worse, v.Reason)
		return v
	}
	v.Kind = api.VerdictContinue
	v.Reason = fmt.Sprintf("%s; waits until it is over; %s", worse, v.Reason)
	return v
}

func clock(at time.Time) string { return at.UTC().Format("15:04:05 MST") }

// contested is empty when no rollout but r had votes: there is nobody to choose
// between.
func contested(r api.Rollout, votes []api.Blame) []api.Blame {
	if len(votes) == 1 && votes[0].Rollout == r.ID {
		return nil
	}
	return votes
}

func describeBothArms(k api.KPIEffect) string {
	return fmt.Sprintf("%s of patched and former instances alike is worse than before (%s and %s against %s)", k.KPI,
		judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit), judge.Format(*k.Before, k.Unit))
}

// markWorse notes on each KPI of a verdict since when both arms are worse than the
// target's baseline. A KPI that was worse at the verdict before keeps that verdict's
// time; and where now the data or the baseline is missing, it stays worse than the
// baseline of then. A figure is worse when it is beyond the limit of a promotion.
func markWorse(r api.Rollout, v api.Verdict) api.Verdict {
	former := map[string]api.KPIEffect{} // by name, of the newest verdict that has it
	for i := range r.Stages {
		noteKPIs(former, r.Stages[i].Verdict)
	}
	noteKPIs(former, r.Verdict)
	kpis := slices.Clone(v.KPIs)
	for i := range kpis {
		k, was := &kpis[i], former[kpis[i].KPI]
		k.Worse = time.Time{}
		if k.Before == nil && !was.Worse.IsZero() {
			k.Before = was.Before
		}
		spec, ok := specOf(r, k.KPI)
		switch {
		case !ok || k.Before == nil:
		case k.Missing:
			k.Worse = was.Worse
		case min(k.Canary, k.Stable) > spec.Margins().PromoteLimit(*k.Before):
			if k.Worse = was.Worse; k.Worse.IsZero() {
				k.Worse = v.At
			}
		}
	}
	v.KPIs = kpis
	return v
}

func noteKPIs(by map[string]api.KPIEffect, v *api.Verdict) {
	if v == nil {
		return
	}
	for _, k := range v.KPIs {
		by[k.KPI] = k
	}
}

// firstWorse is the KPI of which both arms got worse first; nil when none did.
func firstWorse(v api.Verdict) *api.KPIEffect {
	var first *api.KPIEffect
	for i, k := range v.KPIs {
		if !k.Worse.IsZero() && (first == nil || k.Worse.Before(first.Worse)) {
			first = &v.KPIs[i]
		}
	}
	return first
}

func specOf(r api.Rollout, kpi string) (api.KPISpec, bool) {
	for _, s := range r.Decision.Judge.KPIs {
		if s.KPI == kpi {
			return s, true
		}
	}
	return api.KPISpec{}, false
}
