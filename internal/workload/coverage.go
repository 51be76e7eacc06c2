package workload

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

const (
	// carries is the part of the traffic from which on something must be covered.
	carries = 0.05
	// alone is the part of the traffic from which on a path is looked at by itself.
	alone = 1.0 / deckSize
)

// Coverage is the part of the recorded requests that a run has covered, from 0 to 1, and
// what it says nothing about although it makes up 5 % or more. Sent counts the requests
// of the run, in the order of Requests. Paths that make up less than 1 % each are
// covered together with those below the same folder: of a million items, one is like the
// others.
func (w Workload) Coverage(sent []int) (covered float64, missing []string) {
	type group struct {
		share float64
		sent  bool
	}
	groups := map[string]*group{}
	for i, name := range w.groups() {
		if groups[name] == nil {
			groups[name] = &group{}
		}
		groups[name].share += w.Share(i)
		groups[name].sent = groups[name].sent || i < len(sent) && sent[i] > 0
	}
	for _, name := range sorted(groups) {
		switch g := groups[name]; {
		case g.sent:
			covered += g.share
		case g.share >= carries:
			missing = append(missing, fmt.Sprintf("%.120s (%.0f %% of the traffic)", name, 100*g.share))
		}
	}
	if lost := 1 - w.Kept(); lost >= carries {
		missing = append(missing, fmt.Sprintf("what the recording left out (%.0f %% of the traffic)", 100*lost))
	}
	return covered * w.Kept(), missing
}

// groups names for each request what it is covered with: its own method and path when
// they make up enough, and else the longest part of the path that does, or all requests
// of the method.
func (w Workload) groups() []string {
	weights := map[string]int64{}
	for _, r := range w.Requests {
		for _, name := range r.folders() {
			weights[name] += r.Weight
		}
	}
	least := alone * float64(w.Weight())
	out := make([]string, len(w.Requests))
	for i, r := range w.Requests {
		folders := r.folders()
		for _, name := range folders {
			out[i] = name
			if float64(weights[name]) >= least {
				break
			}
		}
	}
	return out
}

// folders are a request's method and path, without a query, and the folders that the
// path is in, the longest first:
//
//	GET /a/b, GET /a/*, GET /*
func (r Request) folders() []string {
	if r.Kind == TCP {
		return []string{r.String(), "tcp"}
	}
	path, _, _ := strings.Cut(r.Path, "?")
	out := []string{r.Method + " " + path}
	for {
		i := strings.LastIndexByte(path, '/')
		if i < 0 {
			return out
		}
		path = path[:i]
		out = append(out, r.Method+" "+path+"/*")
	}
}

// grouped is the order of the requests in which those that are covered together stand
// together.
func (w Workload) grouped() []int {
	groups := w.groups()
	order := make([]int, len(groups))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(strings.Compare(groups[a], groups[b]), strings.Compare(w.Requests[a].Path, w.Requests[b].Path))
	})
	return order
}
