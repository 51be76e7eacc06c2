package ui

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// perPage is how many rows a table has on one page: what a person reads, and what a
// browser lays out at once.
const perPage = 200

// list is the rollouts that a filter leaves.
type list struct {
	Chips   []chip
	Query   string // words that a row must have
	Patch   string // "" for all patches
	Show    string
	Rows    []row
	Total   int // rollouts that the filter leaves
	Pages   []pageLink
	Patches []api.Patch
}

// chip is a filter that is a link.
type chip struct {
	Name  string
	URL   string
	Count int
	On    bool
}

// pageLink is one page of a long table.
type pageLink struct {
	Number int
	URL    string
	On     bool
}

// row is one rollout of the list.
type row struct {
	api.Rollout
	Patched, Total int
	Waits          string // what it waits for, first of several
	More           int    // further ones
}

// kind is a filter of a table.
type kind[T any] struct {
	name  string
	takes func(T) bool
}

// hasKind reports whether one of the filters has a name.
func hasKind[T any](kinds []kind[T], name string) bool {
	return slices.ContainsFunc(kinds, func(k kind[T]) bool { return k.name == name })
}

// filtered is what the filter of a name takes, and a chip for each filter.
func filtered[T any](all []T, kinds []kind[T], show, path string, query url.Values) (kept []T, chips []chip) {
	for _, k := range kinds {
		c := chip{Name: k.name, URL: link(path, query, "show", k.name), On: k.name == show}
		for i := range all {
			if k.takes(all[i]) {
				c.Count++
				if c.On {
					kept = append(kept, all[i])
				}
			}
		}
		chips = append(chips, c)
	}
	return kept, chips
}

// rolloutKinds are the filters of the list by state.
func rolloutKinds() []kind[api.Rollout] {
	return []kind[api.Rollout]{
		{"open", func(r api.Rollout) bool { return !r.Status.Ended() }},
		{"needs a person", func(r api.Rollout) bool { return needsPerson(r.Status) }},
		{"ended", func(r api.Rollout) bool { return r.Status.Ended() }},
		{"turned back", func(r api.Rollout) bool {
			s := r.Status
			return s == api.RolloutRolledBack || s == api.RolloutRejected || s == api.RolloutFailed || s == api.RolloutRollingBack
		}},
		{"all", func(api.Rollout) bool { return true }},
	}
}

func needsPerson(s api.RolloutStatus) bool {
	return s == api.RolloutAwaitingApproval || s == api.RolloutHolding || s == api.RolloutPaused
}

// rollouts is the page that a session begins at.
func rollouts(v *visit) (screen, error) {
	var all []api.Rollout
	if err := v.ask.get("/v1/rollouts", nil, &all); err != nil {
		return screen{}, err
	}
	var patches []api.Patch
	if err := v.ask.get("/v1/patches", nil, &patches); err != nil {
		return screen{}, err
	}
	slices.SortStableFunc(patches, func(x, y api.Patch) int { return y.SubmittedAt.Compare(x.SubmittedAt) })
	out := listOf(all, v.r.URL.Query())
	out.Patches = patches
	return screen{page: "rollouts", title: "Rollouts", nav: "rollouts", body: out}, nil
}

// listOf is the part of all rollouts that a query asks for. What needs a person comes
// first, then what is open, then what ended last.
func listOf(all []api.Rollout, query url.Values) list {
	out := list{Query: query.Get("q"), Patch: query.Get("patch"), Show: query.Get("show")}
	matching := all[:0:0]
	for i := range all {
		if (out.Patch == "" || all[i].Patch == out.Patch) && has(all[i], out.Query) {
			matching = append(matching, all[i])
		}
	}
	kinds := rolloutKinds()
	if !hasKind(kinds, out.Show) {
		out.Show = "open"
		if out.Patch != "" || out.Query != "" || !slices.ContainsFunc(matching, func(r api.Rollout) bool { return !r.Status.Ended() }) {
			out.Show = "all"
		}
	}
	kept, chips := filtered(matching, kinds, out.Show, "/ui/rollouts", query)
	out.Chips = chips
	slices.SortStableFunc(kept, byUrgency)
	out.Total = len(kept)
	kept, out.Pages = cut(kept, "/ui/rollouts", query)
	for i := range kept {
		out.Rows = append(out.Rows, rowOf(kept[i]))
	}
	return out
}

func byUrgency(x, y api.Rollout) int {
	rank := func(s api.RolloutStatus) int {
		switch {
		case s == api.RolloutAwaitingApproval || s == api.RolloutHolding || s == api.RolloutPaused || s == api.RolloutRollingBack:
			return 0
		case s == api.RolloutRunning || s == api.RolloutSimulating:
			return 1
		case !s.Ended():
			return 2
		}
		return 3
	}
	return cmp.Or(cmp.Compare(rank(x.Status), rank(y.Status)), y.Ended.Compare(x.Ended), cmp.Compare(y.ID, x.ID))
}

// has reports whether a rollout has every word of a search.
func has(r api.Rollout, words string) bool {
	return hasWords([]string{r.ID, r.Patch, r.Target.String(), string(r.Status), r.Reason, r.SubmittedBy}, words)
}

// hasWords reports whether texts have every word of a search, in any case.
func hasWords(texts []string, words string) bool {
	all := strings.ToLower(strings.Join(texts, " "))
	for word := range strings.FieldsSeq(strings.ToLower(words)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

// link is a page's address with one parameter of its query changed. The table begins at
// its first page then.
func link(path string, query url.Values, name, value string) string {
	changed := url.Values{}
	for n, values := range query {
		if n != "page" {
			changed[n] = values
		}
	}
	changed.Set(name, value)
	return path + "?" + changed.Encode()
}

// cut is the page of a long table that the query asks for, with links to all of them.
func cut[T any](all []T, path string, query url.Values) ([]T, []pageLink) {
	pages := (len(all) + perPage - 1) / perPage
	if pages <= 1 {
		return all, nil
	}
	at, _ := strconv.Atoi(query.Get("page")) // what is no number is the first page
	at = min(max(at, 1), pages)
	var links []pageLink
	for n := 1; n <= pages; n++ {
		links = append(links, pageLink{n, link(path, query, "page", strconv.Itoa(n)), n == at})
	}
	return all[(at-1)*perPage : min(at*perPage, len(all))], links
}

func rowOf(r api.Rollout) row {
	out := row{Rollout: r, Total: len(r.Instances)}
	for _, i := range r.Instances {
		if i.Build == api.BuildPatched {
			out.Patched++
		}
	}
	if out.Total == 0 && r.Former != nil {
		out.Total = r.Former.Count
	}
	if len(r.Holds) > 0 {
		out.Waits, out.More = r.Holds[0].Source+": "+r.Holds[0].Reason, len(r.Holds)-1
	}
	return out
}
