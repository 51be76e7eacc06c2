package ui

import (
	"cmp"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// policyText is a policy file as its page shows it, with what its blocks decide now.
type policyText struct {
	api.Policy
	Lines   []string
	Decides []decided
}

// decided is a part of the decision of an open rollout that a block of the file made.
type decided struct {
	Rollout api.Rollout
	api.Because
}

// decidedMax bounds the rows of the table: a policy may decide for thousands of targets.
const decidedMax = 300

func policies(v *visit) (screen, error) {
	var all []api.Policy
	if err := v.ask.get("/v1/policies", nil, &all); err != nil {
		return screen{}, err
	}
	slices.SortFunc(all, func(x, y api.Policy) int { return cmp.Compare(x.Name, y.Name) })
	return screen{page: "policies", title: "Policies", nav: "policies", body: all}, nil
}

func policyPage(v *visit) (screen, error) {
	var p api.Policy
	if err := v.ask.get("/v1/policy/"+url.PathEscape(v.r.PathValue("name")), nil, &p); err != nil {
		return screen{}, err
	}
	var open []api.Rollout
	if err := v.ask.get("/v1/rollouts", nil, &open); err != nil {
		return screen{}, err
	}
	body := policyText{Policy: p, Lines: strings.Split(strings.TrimRight(p.File.Text, "\n"), "\n"), Decides: decidedBy(p, open)}
	return screen{page: "policy", title: "Policy " + p.Name, nav: "policies", body: body}, nil
}

// decidedBy is what the blocks of a policy file decided of the open rollouts, by target.
func decidedBy(p api.Policy, all []api.Rollout) []decided {
	var out []decided
	for _, r := range all {
		if r.Status.Ended() {
			continue
		}
		for _, b := range r.Decision.Because {
			if slices.Contains(p.Blocks, b.Policy) {
				out = append(out, decided{r, b})
			}
		}
	}
	slices.SortStableFunc(out, func(x, y decided) int {
		return cmp.Or(cmp.Compare(x.Rollout.Target.String(), y.Rollout.Target.String()), cmp.Compare(x.Field, y.Field))
	})
	return out[:min(len(out), decidedMax)]
}

// written is the address of the line that a range such as "web.hcl:3,5" names; "" where it
// names none.
func written(at string) string {
	file, place, _ := strings.Cut(at, ":")
	name, ok := strings.CutSuffix(path.Base(file), ".hcl")
	line, _, _ := strings.Cut(place, ",")
	if n, err := strconv.Atoi(line); !ok || err != nil || n < 1 {
		return ""
	}
	return "/ui/policy/" + url.PathEscape(name) + "#L" + line
}
