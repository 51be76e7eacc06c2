package mapper

import (
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// ways knows which gateways each edge runs through.
type ways struct {
	through map[graph.Pair][]string // as seen in this round
	behind  map[string]string       // service → gateway
	mine    map[string]bool         // all gateways that this round knows
}

// of returns the gateways of an edge. A load balancer that was seen on the edge in
// an earlier round stays, as long as it is configured as a load balancer.
func (w ways) of(pair graph.Pair, before []string) []string {
	list := slices.Clone(w.through[pair])
	for _, g := range before {
		if w.mine[g] {
			list = append(list, g)
		}
	}
	if g := w.behind[pair.To]; g != "" && g != pair.From {
		list = append(list, g)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// collapse takes gateways and load balancers out of the edges: whoever calls one
// depends on the services behind it.
//
// What a passing gateway of the mesh reaches is dropped, since the callers'
// proxies report the same traffic with the name of the service. A load balancer
// that the configuration names is replaced by edges from each caller to each
// callee. With one caller or one callee these edges are certain. With several of
// both nobody knows which caller needs which callee, so such an edge is only
// declared, unless other evidence names the pair.
func collapse(evidence map[graph.Pair][]api.Evidence, results []result, s settings) ways {
	w := ways{through: make(map[graph.Pair][]string), behind: make(map[string]string), mine: make(map[string]bool)}
	passing := make(map[string]bool)
	for _, r := range results {
		if !r.known {
			continue
		}
		for service, gateway := range r.facts.Behind {
			w.behind[s.service(service)] = s.service(gateway)
		}
		for _, g := range r.facts.Passing {
			passing[s.service(g)] = true
		}
	}
	for pair, list := range evidence {
		if passing[pair.From] {
			evidence[pair] = slices.DeleteFunc(list, func(e api.Evidence) bool { return e.Class == api.EvidenceObserved })
		}
	}
	for _, g := range s.collapse {
		w.mine[g] = true
		w.balance(evidence, g)
	}
	return w
}

// balance joins the callers of one load balancer with its callees.
func (w ways) balance(evidence map[graph.Pair][]api.Evidence, g string) {
	var callers, callees []string
	for pair, list := range evidence {
		if !dependency(list) {
			continue
		}
		if pair.To == g {
			callers = append(callers, pair.From)
		} else if pair.From == g {
			callees = append(callees, pair.To)
		}
	}
	if len(callers) == 0 || len(callees) == 0 {
		return // it is an entry, or an end
	}
	sure := len(callers) == 1 || len(callees) == 1
	for _, a := range callers {
		for _, b := range callees {
			if a == b {
				continue
			}
			pair := graph.Pair{From: a, To: b}
			known := dependency(evidence[pair])
			leg := evidence[graph.Pair{From: a, To: g}]
			if len(callees) > 1 {
				leg = evidence[graph.Pair{From: g, To: b}]
			}
			for _, e := range leg {
				if e.Class != api.EvidenceObserved && e.Class != api.EvidenceDeclared {
					continue
				}
				e.Detail = strings.TrimPrefix(e.Detail+", through "+g, ", ")
				if !sure && !known && e.Class == api.EvidenceObserved {
					e = quiet(e)
					e.Class, e.Detail = api.EvidenceDeclared, "perhaps through "+g
				}
				evidence[pair] = append(evidence[pair], e)
			}
			w.through[pair] = append(w.through[pair], g)
		}
	}
	for _, a := range callers {
		delete(evidence, graph.Pair{From: a, To: g})
	}
	for _, b := range callees {
		delete(evidence, graph.Pair{From: g, To: b})
	}
}

// dependency reports whether some evidence says that one service needs the other.
func dependency(list []api.Evidence) bool {
	return slices.ContainsFunc(list, func(e api.Evidence) bool {
		return e.Class == api.EvidenceObserved || e.Class == api.EvidenceDeclared
	})
}
