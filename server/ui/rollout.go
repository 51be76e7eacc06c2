package ui

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// cellsMax is how many instances are drawn. A person reads no more squares, and the
// figures beside them count all.
const cellsMax = 1200

// story is a rollout as its page shows it.
type story struct {
	api.Rollout
	Actions []action
	Cells   []cell
	Uncut   int // instances that are not drawn
	Counts  counts
	Track   []step
	Waits   []wait
	KPIs    kpiTable
	Sick    []api.Instance // not healthy, with a reason
	History []api.Effect   // newest first
	Config  string         // of the strategy, in one line
}

// cell is one square of the grid.
type cell struct {
	Build, Health, Text string
}

// counts are the instances by build, and the healthy of them.
type counts struct {
	Patched, PatchedHealthy, Former, FormerHealthy, Foreign, Total int
}

// step is a stage of the rollout, begun or yet to come.
type step struct {
	Label string
	State string // done, now, next or failed
	Note  string
}

// wait is a hold with what ends it.
type wait struct {
	api.Hold
	Frees string
}

// kpiTable is the KPIs of a verdict under the names of both arms.
type kpiTable struct {
	Former, Patched string
	Rows            []kpiRow
}

// kpiRow is one KPI of a verdict with the margins that it is judged by.
type kpiRow struct {
	api.KPIEffect
	Margins *api.Margins // nil where the policy has none
	// PromoteNeeded is the power of ten of evidence that promotes; 0 where it is not known.
	PromoteNeeded float64
}

func read(v *visit) (api.Rollout, error) {
	var r api.Rollout
	err := v.ask.get("/v1/rollout/"+url.PathEscape(v.r.PathValue("id")), nil, &r)
	return r, err
}

func rolloutPage(v *visit) (screen, error) {
	r, err := read(v)
	if err != nil {
		return screen{}, err
	}
	return screen{page: "rollout", title: r.Patch + " → " + r.Target.String(), nav: "rollouts", body: storyOf(r, v.self.Identity), scripts: []string{"plot.js"}}, nil
}

func storyOf(r api.Rollout, by api.Identity) story {
	s := story{Rollout: r, Actions: offered(r, by), Track: track(r), History: slices.Clone(r.Effects), Config: string(r.Decision.Strategy.Config)}
	slices.Reverse(s.History)
	instances := slices.Clone(r.Instances)
	slices.SortStableFunc(instances, func(x, y api.Instance) int { return order(x) - order(y) })
	for n, i := range instances {
		s.Counts.add(i)
		if i.Health != api.Healthy && i.Because != "" {
			s.Sick = append(s.Sick, i)
		}
		if n >= cellsMax {
			s.Uncut++
			continue
		}
		build := string(i.Build)
		if build == "" {
			build = string(api.BuildFormer)
		}
		s.Cells = append(s.Cells, cell{build, string(i.Health), fmt.Sprintf("%s: %s, %s, on %s", i.Name, build, i.Health, i.Node[:min(8, len(i.Node))])})
	}
	for _, h := range r.Holds {
		s.Waits = append(s.Waits, wait{h, frees(h)})
	}
	if r.Verdict != nil {
		s.KPIs = kpiTable{Former: "Former", Patched: "Patched", Rows: kpiRows(r.Verdict.KPIs, r.Decision.Judge)}
	}
	return s
}

// order puts patched instances first, and those that are well first among their like.
func order(i api.Instance) int {
	n := 0
	switch i.Build {
	case api.BuildPatched:
	case api.BuildForeign:
		n = 20
	case api.BuildFormer:
		n = 10
	default:
		n = 10
	}
	switch i.Health {
	case api.Healthy:
	case api.Pending:
		n++
	case api.Unhealthy:
		n += 2
	}
	return n
}

func (c *counts) add(i api.Instance) {
	c.Total++
	well := 0
	if i.Health == api.Healthy {
		well = 1
	}
	switch i.Build {
	case api.BuildPatched:
		c.Patched++
		c.PatchedHealthy += well
	case api.BuildForeign:
		c.Foreign++
	case api.BuildFormer:
		c.Former++
		c.FormerHealthy += well
	default:
		c.Former++
		c.FormerHealthy += well
	}
}

// kpiRows are KPIs with their margins, the gravest first and those that no policy judges last.
func kpiRows(kpis []api.KPIEffect, judge api.JudgeSpec) []kpiRow {
	out := make([]kpiRow, len(kpis))
	for i, k := range kpis {
		out[i] = kpiRow{KPIEffect: k}
		if judge.Miss > 0 && judge.Miss < 1 {
			out[i].PromoteNeeded = -math.Log10(judge.Miss)
		}
		at := slices.IndexFunc(judge.KPIs, func(s api.KPISpec) bool { return s.KPI == k.KPI })
		if at >= 0 {
			m := judge.KPIs[at].Margins()
			out[i].Margins = &m
		}
	}
	rank := func(k kpiRow) int {
		if k.Unjudged {
			return 5
		}
		switch k.Kind {
		case api.VerdictAbort:
			return 0
		case api.VerdictInconclusive:
			return 1
		case api.VerdictContinue:
			return 2
		case api.VerdictPromote:
			return 3
		}
		return 4
	}
	slices.SortStableFunc(out, func(x, y kpiRow) int { return rank(x) - rank(y) })
	return out
}

// track is the way of the rollout: the sandbox, its stages, and those that the strategy's
// configuration names for later.
func track(r api.Rollout) []step {
	var out []step
	if r.Decision.Simulate.Required || r.Simulation != "" {
		out = append(out, simulationStep(r))
	}
	stuck := r.Status == api.RolloutRollingBack || r.Status == api.RolloutRolledBack || r.Status == api.RolloutFailed
	top := 0
	for i, s := range r.Stages {
		st := step{Label: share(s), State: "done", Note: fmt.Sprintf("%d patched", s.Instances)}
		if i == len(r.Stages)-1 && r.Status != api.RolloutComplete {
			st.State, st.Note = "now", stageNote(s)
			if stuck {
				st.State, st.Note = "failed", "turned back"
			}
		}
		top = max(top, s.Percent)
		out = append(out, st)
	}
	if stuck || r.Status.Ended() {
		return out
	}
	for _, percent := range ahead(r.Decision.Strategy) {
		if percent > top {
			out = append(out, step{Label: fmt.Sprintf("%d %%", percent), State: "next"})
		}
	}
	return out
}

func simulationStep(r api.Rollout) step {
	st := step{Label: "sandbox", State: "next"}
	switch {
	case r.Status == api.RolloutRejected:
		st.State, st.Note = "failed", "rejected"
	case r.Status == api.RolloutSimulating:
		st.State, st.Note = "now", "trying the patch on twins"
	case r.Undecided != nil:
		st.State, st.Note = "done", "could not decide"
	case r.Simulation != "":
		st.State, st.Note = "done", "passed"
	}
	return st
}

func share(s api.Stage) string {
	if s.Percent == 0 {
		return "one first"
	}
	return fmt.Sprintf("%d %%", s.Percent)
}

func stageNote(s api.Stage) string {
	switch {
	case !s.Judged.IsZero():
		return "promoted"
	case !s.Ready.IsZero():
		return "healthy, being judged"
	}
	return "waits for its instances"
}

// ahead are the shares that the shipped strategies name in their configuration.
func ahead(s api.StrategySpec) []int {
	var c struct {
		Stages  []int `json:"stages"`
		Weights []int `json:"weights"`
	}
	if json.Unmarshal(s.Config, &c) != nil {
		return nil // a strategy of somebody else's has another form
	}
	return append(c.Stages, c.Weights...)
}

// confirmation says what an action will do, before it is done.
type confirmation struct {
	api.Rollout
	Action action
	Says   []string
	Note   string
	Seen   string // what the person decides on; a form that goes forward gives it back
}

// seen sums up what a person who steers a rollout decides on: where it stands, and by a
// digest what it changes and how the policies have it go.
func seen(r api.Rollout) string {
	text, err := json.Marshal([]any{r.PatchDigest, r.Apply, r.Decision, r.Undecided})
	if err != nil {
		return "" // can't be: all of it came from JSON
	}
	parts := []string{string(r.Status), fmt.Sprint(len(r.Stages)), digest(text)}
	for _, h := range r.Holds {
		parts = append(parts, h.Source)
	}
	return strings.Join(parts, " ")
}

func confirmPage(v *visit) (screen, error) {
	a, ok := findAction(v.r.PathValue("action"))
	if !ok {
		return screen{}, api.Errorf(api.CodeNotFound, "%s: there is no such action", v.r.PathValue("action"))
	}
	if v.unmet != nil {
		return blind(v, a, v.unmet)
	}
	out, err := confirm(v, a, nil)
	if err != nil {
		return blind(v, a, err)
	}
	return out, nil
}

// blind is the confirmation of an action on a rollout that can't be read now. What holds
// or turns back needs no look.
func blind(v *visit, a action, why error) (screen, error) {
	if !a.backs() || api.IsCode(why, api.CodeNotFound) || api.IsCode(why, api.CodeUnauthenticated) {
		return screen{}, why
	}
	body := confirmation{Rollout: api.Rollout{ID: v.r.PathValue("id")}, Action: a, Says: []string{
		"The rollout can't be shown now; what is asked for is done all the same, as far as the server can.",
	}}
	return screen{page: "confirm", title: a.Label, nav: "rollouts", body: body, err: why}, nil
}

func confirm(v *visit, a action, refused error) (screen, error) {
	r, err := read(v)
	if err != nil {
		return screen{}, err
	}
	a = named(a, r)
	out := screen{page: "confirm", title: a.Label + " " + r.Patch, nav: "rollouts", err: refused}
	out.body = confirmation{r, a, a.says(r, v.self.Identity), v.r.PostForm.Get("note"), seen(r)}
	switch {
	case refused != nil:
		out.status = known(refused).Code.HTTPStatus()
	case !a.offers(r, v.self.Identity):
		out.err = api.Errorf(api.CodeConflict, "%s can't be done now: the rollout is %s", strings.ToLower(a.Label), strings.ReplaceAll(string(r.Status), "_", " "))
		out.status = http.StatusConflict
	}
	return out, nil
}

// again shows the confirmation of a change that was refused.
func again(v *visit, a action, refused error) (screen, error) {
	if v.meet() != nil {
		return screen{}, refused
	}
	return confirm(v, a, refused)
}

// act does what a form asks for, by the API's own route.
func act(v *visit) (screen, error) {
	a, ok := findAction(v.r.PathValue("action"))
	if !ok {
		return screen{}, api.Errorf(api.CodeNotFound, "%s: there is no such action", v.r.PathValue("action"))
	}
	if !a.backs() {
		r, err := read(v)
		if err != nil {
			return screen{}, err
		}
		if now := seen(r); now == "" || now != v.r.PostForm.Get("seen") {
			return again(v, a, api.Errorf(api.CodeConflict, "the rollout has moved since this page was made; look again, and decide anew"))
		}
	}
	path := "/v1/rollout/" + url.PathEscape(v.r.PathValue("id"))
	err := v.ask.post(path+"/"+a.Name, api.RolloutRequest{Note: strings.TrimSpace(v.r.PostForm.Get("note"))})
	switch {
	case api.IsCode(err, api.CodeUnauthenticated):
		return screen{}, err
	case err != nil:
		return again(v, a, err)
	}
	return screen{goTo: "/ui/rollout/" + url.PathEscape(v.r.PathValue("id"))}, nil
}
