package prometheus

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

const (
	// defaultWindow covers several scrapes at the usual 5 to 15 s, so that one
	// lost scrape does not look like silence.
	defaultWindow = 30 * time.Second
	// measureLabel distinguishes the parts of one query.
	measureLabel = "oakum_measure"
	// refusedShare is the share of refused requests from which on a pair counts
	// as an attempt and not as traffic. Below it some requests were let through.
	refusedShare = 0.999
)

// Traffic reads the flows of some families of metrics. It is safe for concurrent
// use.
type Traffic struct {
	client   *Client
	families []Family
}

// Traffic returns a reader of some families. It makes one query for each family,
// however large the graph is.
func (c *Client) Traffic(families ...Family) *Traffic { return &Traffic{client: c, families: families} }

// Flows reads the observed traffic between services, sorted by both ends. Rates of
// zero are kept, since they show proxies without traffic. A family without metrics
// is no error; silent says that no family has any. partial says what the answers
// lack: values that are no numbers, series without the labels of both ends, and
// the store's warnings.
func (t *Traffic) Flows(ctx context.Context) (flows []graph.Flow, partial string, silent bool, err error) {
	text := fmt.Sprintf("%ds", max(1, int(t.client.window.Round(time.Second)/time.Second)))
	var lacks []string
	series := 0
	for _, f := range t.families {
		samples, remarks, err := t.client.vector(ctx, f.query(text), time.Time{})
		if err != nil {
			return nil, "", false, err
		}
		found, bad := f.flows(samples)
		flows = append(flows, found...)
		series += len(samples)
		lacks = append(lacks, append(remarks, bad...)...)
	}
	if series == 0 {
		silent = true
		names := make([]string, len(t.families))
		for i, f := range t.families {
			names[i] = f.name
		}
		lacks = append(lacks, "prometheus has no metrics of "+strings.Join(names, " or "))
	}
	slices.SortFunc(flows, func(a, b graph.Flow) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), graph.CompareEvidence(a.Evidence, b.Evidence))
	})
	return flows, strings.Join(lacks, "; "), silent, nil
}

// query joins the queries of a family into one.
func (f Family) query(text string) string {
	var parts []string
	for _, m := range measures() {
		if q := f.parts[m]; q != "" {
			q = strings.ReplaceAll(q, window, text)
			parts = append(parts, fmt.Sprintf(`label_replace(%s, %q, %q, "", "")`, q, measureLabel, m))
		}
	}
	return strings.Join(parts, " or ")
}

// ends is the pair of labels' values that samples are grouped by.
type ends struct{ from, to string }

// flows turns samples into one flow for each pair, and one more for a pair whose
// requests are refused. bad describes the samples that can't be used.
func (f Family) flows(samples []*model.Sample) (flows []graph.Flow, bad []string) {
	pairs := make(map[ends]map[Measure]float64)
	odd, nameless := 0, 0
	for _, s := range samples {
		here := f.from.name(s.Metric, "")
		pair := ends{from: here, to: f.to.name(s.Metric, string(s.Metric[model.LabelName(f.from.datacenter)]))}
		value := float64(s.Value)
		switch {
		case pair.from == "" || pair.to == "":
			nameless++
			continue
		case !finite(value) || value < 0:
			odd++
			continue
		}
		if pairs[pair] == nil {
			pairs[pair] = make(map[Measure]float64)
		}
		pairs[pair][Measure(s.Metric[measureLabel])] += value
	}
	for _, pair := range slices.SortedFunc(maps.Keys(pairs), func(a, b ends) int {
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	}) {
		flows = append(flows, f.flow(pair, pairs[pair])...)
	}
	if odd > 0 {
		bad = append(bad, fmt.Sprintf("%d of %d values of %s are no numbers that a rate can be", odd, len(samples), f.name))
	}
	if nameless > 0 {
		bad = append(bad, fmt.Sprintf("%d of %d series of %s do not name both ends", nameless, len(samples), f.name))
	}
	return flows, bad
}

func (f Family) flow(pair ends, m map[Measure]float64) []graph.Flow {
	flow := graph.Flow{From: pair.from, To: pair.to, Raw: f.raw, Evidence: api.Evidence{
		Class: api.EvidenceObserved, Exact: true, OffMesh: f.offMesh, Detail: f.name,
		BytesPerSecond: m[Bytes], RequestsPerSecond: m[Requests], ErrorsPerSecond: m[Errors], LatencySeconds: m[Latency],
		Connections: m[Connections], Endpoints: count(m[Endpoints]), Healthy: count(m[Healthy]),
	}}
	refused := m[Attempts]
	if refused <= 0 && m[Unanswered] <= 0 {
		return []graph.Flow{flow}
	}
	if refused <= 0 {
		flow.Evidence = api.Evidence{Class: api.EvidenceDenied, Exact: true, Attempt: true, OffMesh: f.offMesh,
			Detail: "sent without an answer, as " + f.name + " says", BytesPerSecond: m[Unanswered]}
		return []graph.Flow{flow}
	}
	attempt := graph.Flow{From: pair.from, To: pair.to, Raw: f.raw, Evidence: api.Evidence{
		Class: api.EvidenceDenied, Exact: true, Attempt: true, Detail: "refused, as " + f.name + " says", ErrorsPerSecond: refused,
	}}
	if m[Requests] <= refused/refusedShare {
		return []graph.Flow{attempt} // none of them got through
	}
	return []graph.Flow{flow, attempt}
}

// count turns a float into a number of endpoints.
func count(x float64) int { return int(math.Round(min(x, 1e6))) }

// name is the name of one end in the graph, or "". A service of a peer, or of
// another datacenter than here, gets that name after an @. A namespace or
// partition that is not the default one stands before the name.
func (e end) name(m model.Metric, here string) string {
	label := func(name string) string {
		if name == "" {
			return ""
		}
		return string(m[model.LabelName(name)])
	}
	name := cmp.Or(label(e.service), label(e.fallback))
	if name == "" {
		return ""
	}
	name = graph.Name(label(e.partition), label(e.namespace), name)
	dc := label(e.datacenter)
	switch peer := label(e.peer); {
	case peer != "":
		return name + graph.Beyond + peer
	case here != "" && dc != "" && dc != here:
		return name + graph.Beyond + dc
	}
	return name
}
