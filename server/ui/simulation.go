package ui

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/access"
	"github.com/oakumhq/oakum/internal/figure"
)

// simulationList is the simulations that a filter leaves.
type simulationList struct {
	Chips []chip
	Query string // words that a row must have
	Rows  []trial
	Pages []pageLink
}

// trial is a simulation as the page shows it.
type trial struct {
	api.Simulation
	Says      string // its reason, or how far it is
	KPIs      kpiTable
	Plots     []plot
	Left      []string // what it has made and not removed, by name
	Cancels   bool     // the user may end it; a rollout's ends with the rollout
	Consoles  bool     // the user may read what its machines write
	Took      string   // "" while it runs
	HasProofs bool     // something was to be proven
}

// plot is what both arms of a pair showed of a KPI over time.
type plot struct {
	Name, Key, Unit string
	Points          string // JSON: seconds since its first point, control, treatment; null where nothing was measured
}

// simulationKinds are the filters of the list by outcome.
func simulationKinds() []kind[api.Simulation] {
	of := func(all ...api.SimulationStatus) func(api.Simulation) bool {
		return func(s api.Simulation) bool { return slices.Contains(all, s.Status) }
	}
	return []kind[api.Simulation]{
		{"running", of(api.SimulationRunning)},
		{"passed", of(api.SimulationPassed)},
		{"rejected", of(api.SimulationRejected)},
		{"without a verdict", of(api.SimulationInconclusive, api.SimulationFailed, api.SimulationCancelled)},
		{"all", func(api.Simulation) bool { return true }},
	}
}

func simulations(v *visit) (screen, error) {
	var all []api.Simulation
	if err := v.ask.get("/v1/simulations", nil, &all); err != nil {
		return screen{}, err
	}
	query := v.r.URL.Query()
	out := simulationList{Query: query.Get("q")}
	matching := slices.DeleteFunc(all, func(s api.Simulation) bool {
		return !hasWords([]string{s.ID, s.Patch, s.Target.String(), string(s.Status), s.Reason, s.By}, out.Query)
	})
	kinds, show := simulationKinds(), query.Get("show")
	if !hasKind(kinds, show) {
		show = "all"
	}
	kept, chips := filtered(matching, kinds, show, "/ui/simulations", query)
	slices.SortStableFunc(kept, func(x, y api.Simulation) int { return cmp.Or(y.Started.Compare(x.Started), cmp.Compare(y.ID, x.ID)) })
	kept, out.Pages = cut(kept, "/ui/simulations", query)
	out.Chips = chips
	for _, s := range kept {
		out.Rows = append(out.Rows, trial{Simulation: s, Says: outcome(s)})
	}
	return screen{page: "simulations", title: "Simulations", nav: "simulations", body: out}, nil
}

// outcome is the reason of a simulation's end, or how far it is.
func outcome(s api.Simulation) string {
	switch {
	case s.Reason != "":
		return s.Reason
	case s.Impact != nil:
		return s.Impact.Reason
	case s.Progress != nil:
		return progress(*s.Progress)
	}
	return ""
}

// progress says how far a simulation is, but for the evidence, which the table has.
func progress(p api.SimulationProgress) string {
	parts := []string{p.Phase}
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(p.Position > 0, "number %d in the queue", p.Position)
	add(p.Waits != "", "waits for the verdict of %s", p.Waits)
	add(p.Pairs > 1 && p.Pair > 0, "pair %d of %d", p.Pair, p.Pairs)
	add(p.Requests > 0, "%d requests answered by each twin", p.Requests)
	add(p.Left > 0, "about %s left", figure.Span(p.Left.D()))
	return strings.Join(parts, ", ")
}

func readSimulation(v *visit) (api.Simulation, error) {
	var s api.Simulation
	err := v.ask.get("/v1/simulation/"+url.PathEscape(v.r.PathValue("id")), nil, &s)
	return s, err
}

func simulationPage(v *visit) (screen, error) {
	s, err := readSimulation(v)
	if err != nil {
		return screen{}, err
	}
	t := trialOf(s, judgeOf(v, s))
	mine := access.Reaches(v.self.Identity, api.CapSimulate, s.Target)
	t.Cancels, t.Consoles = mine && s.Status == api.SimulationRunning && s.Rollout == "", mine
	return screen{page: "simulation", title: "Simulation of " + s.Patch, nav: "simulations", body: t, scripts: []string{"plot.js"}}, nil
}

// judgeOf is how the policies have a simulation judged: its own decision says so, or its
// rollout's. Margins are left out where neither can be read.
func judgeOf(v *visit, s api.Simulation) api.JudgeSpec {
	if s.Decision != nil {
		return s.Decision.Judge
	}
	var r api.Rollout
	if s.Rollout == "" || v.ask.get("/v1/rollout/"+url.PathEscape(s.Rollout), nil, &r) != nil {
		return api.JudgeSpec{}
	}
	return r.Decision.Judge
}

func trialOf(s api.Simulation, judge api.JudgeSpec) trial {
	t := trial{Simulation: s, Says: outcome(s), KPIs: kpiTable{Former: "Control", Patched: "Treatment"}}
	switch {
	case s.Impact != nil:
		t.KPIs.Rows = kpiRows(s.Impact.KPIs, judge)
		t.HasProofs = len(s.Impact.Proofs) > 0 || len(s.Impact.Packages) > 0
		for _, one := range s.Impact.Series {
			t.Plots = append(t.Plots, plotOf(one))
		}
	case s.Progress != nil:
		t.KPIs.Rows = kpiRows(s.Progress.KPIs, judge)
	}
	if !s.Ended.IsZero() {
		t.Took = figure.Span(s.Ended.Sub(s.Started))
		for _, o := range s.Owned {
			t.Left = append(t.Left, o.Kind+" "+o.Name)
		}
	}
	return t
}

func plotOf(s api.Series) plot {
	n := min(len(s.Control), len(s.Treatment))
	points := [3][]*float64{}
	measured := func(v float64) *float64 {
		if v < 0 {
			return nil
		}
		return &v
	}
	for i := range n {
		at := float64(i) * s.Every.D().Seconds()
		points[0] = append(points[0], &at)
		points[1] = append(points[1], measured(s.Control[i]))
		points[2] = append(points[2], measured(s.Treatment[i]))
	}
	text, err := json.Marshal(points)
	if err != nil {
		text = []byte("[[],[],[]]") // can't be: all of it came from JSON
	}
	name := s.KPI
	if s.Pair > 0 {
		name = fmt.Sprintf("%s, pair %d", s.KPI, s.Pair)
	}
	return plot{Name: name, Key: s.KPI + " " + strconv.Itoa(s.Pair), Unit: s.Unit, Points: string(text)}
}

// console is what one machine of a simulation wrote.
type console struct {
	api.Simulation
	api.Console
}

func consolePage(v *visit) (screen, error) {
	s, err := readSimulation(v)
	if err != nil {
		return screen{}, err
	}
	out := console{Simulation: s}
	query := url.Values{"role": {cmp.Or(v.query("role"), "treatment")}}
	if pair := v.query("pair"); pair != "" {
		query.Set("pair", pair)
	}
	if err := v.ask.get("/v1/simulation/"+url.PathEscape(s.ID)+"/console", query, &out.Console); err != nil {
		return screen{}, err
	}
	out.Text = printable(out.Text)
	return screen{page: "console", title: "Console of " + out.Role, nav: "simulations", body: out}, nil
}

// printable is a text of a guest without what is no character.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}

func cancelPage(v *visit) (screen, error) { return askToCancel(v, nil) }

// askToCancel says what cancelling a simulation does, and why it was refused.
func askToCancel(v *visit, refused error) (screen, error) {
	s, err := readSimulation(v)
	if err != nil {
		return screen{}, err
	}
	out := screen{page: "cancel", title: "Cancel the simulation of " + s.Patch, nav: "simulations", body: s, err: refused}
	switch {
	case refused != nil:
		out.status = known(refused).Code.HTTPStatus()
	case s.Status != api.SimulationRunning:
		out.err, out.status = api.Errorf(api.CodeConflict, "the simulation has ended: it is %s", s.Status), http.StatusConflict
	}
	return out, nil
}

func cancelSimulation(v *visit) (screen, error) {
	path := "/v1/simulation/" + url.PathEscape(v.r.PathValue("id"))
	err := v.ask.post(path+"/cancel", struct{}{})
	switch {
	case api.IsCode(err, api.CodeUnauthenticated):
		return screen{}, err
	case err != nil:
		if v.meet() != nil {
			return screen{}, err
		}
		return askToCancel(v, err)
	}
	return screen{goTo: "/ui/simulation/" + url.PathEscape(v.r.PathValue("id"))}, nil
}
