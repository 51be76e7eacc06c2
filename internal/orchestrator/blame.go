package orchestrator

import (
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/judge"
)

// kindBlame is the transition with which the verdict first says that another
// rollout explains what got worse, or a further one.
const kindBlame = "blame"

// attribute completes a verdict with what got worse around the rollout, and with
// the vote on which of the rollouts under way explains that. Beside that it only
// ever takes a promotion back:
//
//   - An abort stays one: the rollout's own patched instances are worse than the
//     former ones, whoever else is in trouble.
//   - A rollout whose patched and former instances alike got worse, and which
//     another explains better, goes on being judged until that one has ended.
//   - A rollout that explains best what got worse at a neighbour waits for that to
//     be over, for as long as a stage may be judged; then it is inconclusive, so
//     that the policy or a person decides what becomes of it.
func (o *Orchestrator) attribute(r api.Rollout, v api.Verdict) api.Verdict {
	if o.Surroundings == nil {
		return worsening(r, v)
	}
	open := o.Store.OpenRollouts()
	v.Neighbours = o.hear(r, v.At, open)
	return attribute(r, v, open, o.Surroundings.Around)
}

// attribute is the rule; open may contain r.
func attribute(r api.Rollout, v api.Verdict, open []api.Rollout, around func(api.TargetRef) []api.Target) api.Verdict {
	v = worsening(r, v)
	r.Verdict = &v
	// What was worse before the first stage began is not this rollout's doing.
	news := slices.DeleteFunc(slices.Clone(v.Neighbours), func(e api.NeighbourEffect) bool { return e.Earlier })
	own := len(faultsOf(r)) > 0
	if !own && len(news) == 0 {
		return v
	}
	b := newBallot(r, open, around)
	if own {
		v = yield(r, v, b.explain(r.Target))
	}
	for _, e := range news {
		if votes := b.explain(e.Target); len(votes) > 0 && votes[0].Rollout == r.ID {
			if v.Blame == nil {
				v.Blame = contested(r, votes)
			}
			return await(r, v, e)
		}
	}
	return v
}

// yield applies the vote on a rollout's own target to its verdict.
func yield(r api.Rollout, v api.Verdict, votes []api.Blame) api.Verdict {
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
	v.Reason = fmt.Sprintf("%s, which rollout %s of %s explains better; waits until that has ended; %s", bothText(*firstWorse(r)), best.Rollout, best.Target, v.Reason)
	return v
}

// contested leaves out a vote in which the rollout was alone.
func contested(r api.Rollout, votes []api.Blame) []api.Blame {
	if len(votes) == 1 && votes[0].Rollout == r.ID {
		return nil
	}
	return votes
}

func bothText(k api.KPIEffect) string {
	return fmt.Sprintf("%s of patched and former instances alike is worse than before (%s and %s against %s)", k.KPI,
		judge.Format(k.Canary, k.Unit), judge.Format(k.Stable, k.Unit), judge.Format(*k.Before, k.Unit))
}

// worsening notes on each KPI since when both arms are worse than before: that of
// the verdict before this one, when they were worse then already. A figure is
// worse when it is beyond what a canary would not be promoted with.
func worsening(r api.Rollout, v api.Verdict) api.Verdict {
	since := map[string]time.Time{}
	for i := range r.Stages {
		note(since, r.Stages[i].Verdict)
	}
	note(since, r.Verdict)
	kpis := make([]api.KPIEffect, len(v.KPIs))
	for i, k := range v.KPIs {
		k.Worse = time.Time{}
		if spec, ok := specOf(r, k.KPI); ok && !k.Missing && k.Before != nil {
			limit := spec.Margins().PromoteLimit(*k.Before)
			if k.Canary > limit && k.Stable > limit {
				k.Worse = v.At
				if t := since[k.KPI]; !t.IsZero() {
					k.Worse = t
				}
			}
		}
		kpis[i] = k
	}
	if len(kpis) > 0 {
		v.KPIs = kpis
	}
	return v
}

// note keeps since when the KPIs of a verdict are worse.
func note(since map[string]time.Time, v *api.Verdict) {
	if v == nil {
		return
	}
	for _, k := range v.KPIs {
		since[k.KPI] = k.Worse
	}
}

func specOf(r api.Rollout, kpi string) (api.KPISpec, bool) {
	for _, s := range r.Decision.Judge.KPIs {
		if s.KPI == kpi {
			return s, true
		}
	}
	return api.KPISpec{}, false
}

// blamed is the rollout that a verdict blames, when it is another.
func blamed(r api.Rollout) string {
	if r.Verdict == nil || len(r.Verdict.Blame) == 0 || r.Verdict.Blame[0].Rollout == r.ID {
		return ""
	}
	return r.Verdict.Blame[0].Rollout
}
