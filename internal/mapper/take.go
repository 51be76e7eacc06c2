package mapper

import (
	"fmt"
	"maps"
	"net"
	"regexp"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// addressBook maps each address and allocation to its service, by all known answers.
func addressBook(results []result) map[string]string {
	all := make(map[string]string)
	for _, r := range results {
		if r.known {
			maps.Copy(all, r.facts.Addresses)
		}
	}
	return all
}

// unmapped counts flows with an end that is neither a known service nor declared
// to be outside.
type unmapped struct {
	total, lost int
	example     string // the first of them
}

// String is empty when nothing was lost.
func (u unmapped) String() string {
	if u.lost == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d flows have an end that no service is known for, such as %s", u.lost, u.total, u.example)
}

// take adds the evidence and flows of one source to the evidence of all.
func take(r result, evidence map[graph.Pair][]api.Evidence, addresses map[string]string, s settings) unmapped {
	add := func(pair graph.Pair, e api.Evidence) {
		if e.Attempt || e.Class == api.EvidenceObserved {
			if !r.fresh || !s.alive(e) {
				return // traffic of an older answer is kept as it was recorded
			}
		}
		pair = graph.Pair{From: s.service(pair.From), To: s.service(pair.To)}
		e.Source = r.name
		evidence[pair] = append(evidence[pair], e)
	}
	for pair, list := range r.facts.Evidence {
		for _, e := range list {
			add(pair, e)
		}
	}
	lost := unmapped{total: len(r.facts.Flows)}
	for _, f := range r.facts.Flows {
		pair := graph.Pair{From: f.From, To: f.To}
		if f.Raw {
			pair = graph.Pair{From: translate(f.From, addresses), To: translate(f.To, addresses)}
		}
		if pair.From == "" || pair.To == "" {
			if (pair.From != "" || s.outside.Match(f.From)) && (pair.To != "" || s.outside.Match(f.To)) {
				continue
			}
			lost.lost++
			if lost.example == "" {
				lost.example = fmt.Sprintf("%s to %s", f.From, f.To)
			}
			continue
		}
		add(pair, f.Evidence)
	}
	return lost
}

// alive reports whether the figures are high enough to count as traffic.
func (s settings) alive(e api.Evidence) bool {
	if e.Attempt {
		return e.ErrorsPerSecond > 0 || e.BytesPerSecond >= s.minBytes
	}
	return e.BytesPerSecond >= s.minBytes || e.RequestsPerSecond > 0 || e.Connections > 0
}

// allocation finds an allocation's ID in a label such as a container's path.
var allocation = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// translate returns the service of an address, or of a label that contains an
// allocation's ID. It is empty when no service is known.
func translate(raw string, addresses map[string]string) string {
	if name, ok := addresses[raw]; ok {
		return name
	}
	if id := allocation.FindString(raw); id != "" {
		return addresses[id]
	}
	if host, port, err := net.SplitHostPort(raw); err == nil {
		return addresses[net.JoinHostPort(host, port)]
	}
	return ""
}
