package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
)

// world is a rollout that goes well: every stage is ready and judged at once.
type world struct {
	count  int
	config json.RawMessage
	stages []api.Stage
	now    time.Time
}

func newWorld(count int, config json.RawMessage) *world {
	return &world{count: count, config: config, now: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)}
}

// String says where the rollout stands.
func (w *world) String() string {
	if len(w.stages) == 0 {
		return fmt.Sprintf("the start with %d instances", w.count)
	}
	last := w.stages[len(w.stages)-1]
	text := fmt.Sprintf("stage %d, %d percent %s", last.Number, last.Percent, last.Mode)
	if last.Promoted {
		text += ", promoted"
	}
	return text
}

// apply carries a proposal out.
func (w *world) apply(advice api.Advice) {
	w.now = w.now.Add(time.Minute)
	if advice.Action == api.AdvicePromote {
		w.stages[len(w.stages)-1].Promoted = true
		return
	}
	w.stages = append(w.stages, api.Stage{
		Number:    len(w.stages) + 1,
		Percent:   advice.Percent,
		Mode:      advice.Mode,
		Instances: api.CeilPercent(advice.Percent, w.count),
		Began:     w.now,
		Ready:     w.now.Add(10 * time.Second),
		Judged:    w.now.Add(30 * time.Second),
		Verdict:   verdict(api.VerdictPromote, w.now.Add(30*time.Second)),
	})
}

// view is what the strategy is shown.
func (w *world) view() api.StrategyView {
	v := api.StrategyView{
		Rollout: "conformance",
		Target: api.Target{
			TargetRef: api.TargetRef{Namespace: "default", Job: "web", Group: "web"},
			Count:     w.count,
			Driver:    "qemu",
			Tasks:     []api.Task{{Name: "vm", Driver: "qemu", Image: "/images/web.qcow2"}},
			Services:  []string{"web"},
		},
		Critical:   true,
		Config:     slices.Clone(w.config),
		Stages:     slices.Clone(w.stages),
		Instances:  w.instances(),
		Neighbours: []string{"cart", "front"},
	}
	if n := len(w.stages); n > 0 {
		v.Verdict = w.stages[n-1].Verdict
	}
	return v
}

// instances are those that the stages so far leave.
func (w *world) instances() []api.Instance {
	patched, former := 0, w.count
	if n := len(w.stages); n > 0 {
		last := w.stages[n-1]
		patched = last.Instances
		if last.Mode == api.StageInPlace || last.Promoted {
			former = w.count - patched
		}
	}
	out := make([]api.Instance, 0, patched+former)
	add := func(build api.Build) {
		id := strconv.Itoa(len(out))
		out = append(out, api.Instance{ID: id, Name: "web[" + id + "]", Node: "node-" + strconv.Itoa(len(out)%3), Build: build, Health: api.Healthy})
	}
	for range patched {
		add(api.BuildPatched)
	}
	for range former {
		add(api.BuildFormer)
	}
	return out
}

// unjudged is the view with another verdict on the present stage, which is
// therefore not judged well. An empty kind means no verdict at all.
func unjudged(view api.StrategyView, kind api.VerdictKind) api.StrategyView {
	view.Stages = slices.Clone(view.Stages)
	last := &view.Stages[len(view.Stages)-1]
	last.Judged, last.Promoted = time.Time{}, false
	last.Verdict, view.Verdict = nil, nil
	if kind != "" {
		last.Verdict = verdict(kind, last.Ready)
		view.Verdict = last.Verdict
	}
	return view
}

func verdict(kind api.VerdictKind, at time.Time) *api.Verdict {
	return &api.Verdict{Kind: kind, At: at, Looks: 3, Reason: "conformance says " + string(kind)}
}
