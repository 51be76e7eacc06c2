package rehearsal

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/calendar"
	"github.com/oakumhq/oakum/internal/stats"
)

// shareMiss is the probability that a share lies beyond one of its two limits.
const shareMiss = 0.025

// report sums up all plays. results is indexed by behaviour and seed.
func (s *scene) report(results [][]result) api.Rehearsal {
	out := api.Rehearsal{
		Patch: s.patch.Name, Digest: s.patch.Digest, At: s.opt.At, Seeds: s.opt.Seeds, Seed: s.opt.Seed,
		Order: s.plan.Order, Weak: s.plan.Weak, Refusals: s.plan.Refusals,
		Waves: []api.RehearsedWave{}, Bad: []api.BadPatch{}, Assumptions: []string{},
	}
	if len(s.members) == 0 {
		return out
	}
	calm := results[0]
	out.Ends = spread(calm, func(r result) time.Duration { return r.over })
	for i, w := range s.plan.Waves {
		out.Waves = append(out.Waves, s.wave(w, i, calm))
	}
	out.Harmless = outcome(calm)
	out.People = people(calm)
	for i, b := range s.behaviours[1:] {
		out.Bad = append(out.Bad, bad(b, results[i+1]))
	}
	out.Assumptions = s.assumptions()
	return out
}

func (s *scene) wave(w api.Wave, i int, calm []result) api.RehearsedWave {
	out := api.RehearsedWave{
		Number: w.Number,
		Starts: spread(calm, func(r result) time.Duration { return r.starts[i] }),
		Ends:   spread(calm, func(r result) time.Duration { return r.ends[i] }),
	}
	for _, t := range w.Targets {
		out.Targets = append(out.Targets, t.Target.TargetRef)
		out.Instances += t.Target.Count
		if out.Waits == "" {
			out.Waits = waitsFor(t, s.opt.At)
		}
	}
	return out
}

// waitsFor says what a target waits for beside earlier waves.
func waitsFor(t api.PlannedTarget, at time.Time) string {
	if t.Quiet != nil && t.Quiet.At.After(at) {
		return t.Quiet.Reason
	}
	_, why := calendar.Opens(t.Decision, at)
	return why
}

// spread sorts the durations of the plays that have one.
func spread(results []result, of func(result) time.Duration) api.Spread {
	var seen []time.Duration
	for _, r := range results {
		if d := of(r); d >= 0 {
			seen = append(seen, d)
		}
	}
	if len(seen) == 0 {
		return api.Spread{}
	}
	slices.Sort(seen)
	return api.Spread{Median: api.Duration(quantile(seen, 0.5)), P90: api.Duration(quantile(seen, 0.9)), Seeds: len(seen)}
}

func counted(results []result, of func(result) float64) api.CountSpread {
	seen := make([]float64, len(results))
	for i, r := range results {
		seen[i] = math.Round(of(r))
	}
	slices.Sort(seen)
	return api.CountSpread{Median: quantile(seen, 0.5), P90: quantile(seen, 0.9), Most: seen[len(seen)-1]}
}

// quantile is the smallest value that at least a share q of the sorted values does
// not exceed.
func quantile[T any](sorted []T, q float64) T {
	return sorted[max(int(math.Ceil(q*float64(len(sorted))))-1, 0)]
}

func share(count, of int) api.Share {
	low, high := stats.ShareBounds(count, of, shareMiss)
	return api.Share{Count: count, Of: of, Low: round(low), High: round(high)}
}

// round rounds to four digits. A share of some hundred plays has no more.
func round(x float64) float64 { return math.Round(x*1e4) / 1e4 }

func countIf(results []result, is func(result) bool) int {
	n := 0
	for _, r := range results {
		if is(r) {
			n++
		}
	}
	return n
}

func outcome(results []result) api.Outcome {
	n := len(results)
	out := api.Outcome{
		Complete:   share(countIf(results, func(r result) bool { return r.complete == r.rollouts }), n),
		TurnedBack: share(countIf(results, func(r result) bool { return r.turned > 0 }), n),
		Held:       share(countIf(results, func(r result) bool { return r.held > 0 }), n),
		Reasons:    reasons(results),
	}
	var complete, turned, held, begun int
	for _, r := range results {
		complete, turned, held = complete+r.complete, turned+r.turned, held+r.held
	}
	begun = complete + turned + held
	out.Rollouts = api.RolloutOutcome{Complete: share(complete, begun), TurnedBack: share(turned, begun), Held: share(held, begun)}
	return out
}

func reasons(results []result) []api.Wait {
	plays := map[string]int{}
	for _, r := range results {
		for _, why := range r.reasons {
			plays[why]++
		}
	}
	var out []api.Wait
	for _, why := range slices.Sorted(maps.Keys(plays)) {
		out = append(out, api.Wait{Text: why, Plays: plays[why]})
	}
	slices.SortStableFunc(out, func(a, b api.Wait) int { return cmp.Compare(b.Plays, a.Plays) })
	return out
}

// people lists what waits for a person: approvals first, then holds.
func people(results []result) []api.Wait {
	var out []api.Wait
	for _, of := range []func(result) map[string][]string{
		func(r result) map[string][]string { return r.approvals },
		func(r result) map[string][]string { return r.holds },
	} {
		plays, targets := map[string]int{}, map[string][]string{}
		for _, r := range results {
			for text, names := range of(r) {
				plays[text]++
				targets[text] = append(targets[text], names...)
			}
		}
		for _, text := range slices.Sorted(maps.Keys(plays)) {
			names := targets[text]
			slices.Sort(names)
			out = append(out, api.Wait{Text: text + ": " + some(slices.Compact(names)), Plays: plays[text]})
		}
	}
	return out
}

// someMost is how many names a sentence contains.
const someMost = 5

// some lists names, the first ones of many.
func some(names []string) string {
	if len(names) <= someMost {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:someMost], ", "), len(names)-someMost)
}

func bad(b behaviour, results []result) api.BadPatch {
	n := len(results)
	return api.BadPatch{
		Name:       b.name,
		TurnedBack: share(countIf(results, func(r result) bool { return r.back }), n),
		Unnoticed:  share(countIf(results, func(r result) bool { return r.complete == r.rollouts }), n),
		After:      spread(results, func(r result) time.Duration { return r.after }),
		Instances:  counted(results, func(r result) float64 { return r.instances }),
		Targets:    counted(results, func(r result) float64 { return r.targets }),
		Requests:   counted(results, func(r result) float64 { return r.requests }),
		Reasons:    reasons(results),
	}
}
