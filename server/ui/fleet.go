package ui

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"

	"github.com/oakumhq/oakum/api"
)

// fleetPage is the targets that a filter leaves.
type fleetPage struct {
	Chips    []chip
	Query    string
	Show     string
	Affected bool // what each target is affected by is shown
	Ask      string
	Rows     []targetRow
	Total    int
	Pages    []pageLink
}

// targetRow is one target of the fleet.
type targetRow struct {
	api.TargetView
	Instances, Healthy int // of its services; 0 of 0 where it has none
	Blast              int
	Score              float64
	Service            string // the weightiest of its services
	Images             []string
	Rollout            *api.Rollout // that is open; else nil
	Quarantined        []string     // patches
	Affected, Unknown  []string     // advisories
}

// sick reports whether some instance is known not to be healthy.
func (t targetRow) sick() bool { return t.Healthy < t.Instances }

// targetKinds are the filters of the fleet.
func targetKinds(affected bool) []kind[targetRow] {
	out := []kind[targetRow]{
		{"all", func(targetRow) bool { return true }},
		{"critical", func(t targetRow) bool { return t.Critical }},
		{"being patched", func(t targetRow) bool { return t.Rollout != nil }},
		{"not healthy", targetRow.sick},
		{"quarantined", func(t targetRow) bool { return len(t.Quarantined) > 0 }},
	}
	if affected {
		out = append(out, kind[targetRow]{"affected", func(t targetRow) bool { return len(t.Affected) > 0 }},
			kind[targetRow]{"unknown", func(t targetRow) bool { return len(t.Unknown) > 0 }})
	}
	return out
}

func fleet(v *visit) (screen, error) {
	var g api.Graph
	if err := v.ask.get("/v1/graph", nil, &g); err != nil {
		return screen{}, err
	}
	var open []api.Rollout
	if err := v.ask.get("/v1/rollouts", nil, &open); err != nil {
		return screen{}, err
	}
	var barred []api.Quarantine
	if err := v.ask.get("/v1/quarantines", nil, &barred); err != nil {
		return screen{}, err
	}
	out := screen{page: "fleet", title: "Fleet", nav: "fleet"}
	var faults api.Compliance
	affected := v.query("affected") == "true"
	if affected {
		if err := v.ask.get("/v1/compliance", nil, &faults); err != nil {
			out.err, affected = err, false
		}
	}
	rows := fleetOf(g, open, barred, faults)
	out.body = filterFleet(rows, v.r.URL.Query(), affected)
	return out, nil
}

// fleetOf is every target with what the graph, the rollouts and the advisories say of it.
// The weightiest come first.
func fleetOf(g api.Graph, rollouts []api.Rollout, barred []api.Quarantine, faults api.Compliance) []targetRow {
	score := map[string]api.Criticality{}
	for _, c := range g.Criticality {
		score[c.Service] = c
	}
	rows, at := make([]targetRow, len(g.Targets)), map[api.TargetRef]*targetRow{}
	for i, t := range g.Targets {
		rows[i] = targetRow{TargetView: t}
		for _, task := range t.Target.Tasks {
			if task.Image != "" && task.Lifecycle == "" {
				rows[i].Images = append(rows[i].Images, task.Image)
			}
		}
		at[t.Target.TargetRef] = &rows[i]
	}
	for _, s := range g.Services {
		for _, ref := range s.Targets {
			if row := at[ref]; row != nil {
				row.weigh(s, score[s.Name])
			}
		}
	}
	for i := range rollouts {
		if row := at[rollouts[i].Target]; row != nil && !rollouts[i].Status.Ended() {
			row.Rollout = &rollouts[i]
		}
	}
	for _, q := range barred {
		if row := at[q.Target]; row != nil {
			row.Quarantined = append(row.Quarantined, q.Patch)
		}
	}
	for _, a := range faults.Advisories {
		for _, t := range a.Targets {
			row := at[t.Target]
			switch {
			case row == nil:
			case t.Status == api.ComplianceAffected:
				row.Affected = append(row.Affected, a.ID)
			case t.Status == api.ComplianceUnknown:
				row.Unknown = append(row.Unknown, a.ID)
			}
		}
	}
	slices.SortStableFunc(rows, func(x, y targetRow) int {
		return cmp.Or(cmp.Compare(y.Score, x.Score), x.Target.Compare(y.Target.TargetRef))
	})
	return rows
}

// weigh takes in one of the target's services. A target has as many instances as the
// largest of its services.
func (t *targetRow) weigh(s api.Service, c api.Criticality) {
	if s.Instances > t.Instances {
		t.Instances, t.Healthy = s.Instances, s.Healthy
	}
	if t.Service == "" || c.Score > t.Score {
		t.Service, t.Score, t.Blast = s.Name, c.Score, c.BlastRadius
	}
}

func filterFleet(all []targetRow, query url.Values, affected bool) fleetPage {
	out := fleetPage{Query: query.Get("q"), Show: query.Get("show"), Affected: affected, Ask: link("/ui/fleet", query, "affected", "true")}
	var matching []targetRow
	for _, row := range all {
		if row.has(out.Query) {
			matching = append(matching, row)
		}
	}
	kinds := targetKinds(affected)
	if !hasKind(kinds, out.Show) {
		out.Show = "all"
	}
	kept, chips := filtered(matching, kinds, out.Show, "/ui/fleet", query)
	out.Chips = chips
	out.Total = len(kept)
	out.Rows, out.Pages = cut(kept, "/ui/fleet", query)
	return out
}

// has reports whether a target has every word of a search.
func (t targetRow) has(words string) bool {
	text := []string{t.Target.String(), t.Target.Driver}
	text = append(append(append(text, t.Target.Services...), t.Images...), t.Affected...)
	for name, value := range t.Target.Meta {
		text = append(text, fmt.Sprintf("%s=%s", name, value))
	}
	return hasWords(text, words)
}
