package httpapi

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

// fullRecord is how many events the record keeps at least. When it has as many,
// older ones may be gone.
const fullRecord = 10_000

func (a *API) graph(c *call) (any, error) {
	v := a.view(c)
	return shown(v, fullGraph(v.Graph(a.opt.Control.Graph())))
}

// fullGraph gives empty parts their [] in JSON.
func fullGraph(g api.Graph) api.Graph {
	g.Services = orEmpty(g.Services)
	g.Edges = orEmpty(g.Edges)
	g.Criticality = orEmpty(g.Criticality)
	g.Targets = orEmpty(g.Targets)
	g.Sources = orEmpty(g.Sources)
	return g
}

func orEmpty[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func (a *API) graphImpact(c *call) (any, error) {
	name := c.r.PathValue("service")
	v := a.view(c)
	impact, ok := a.opt.Control.Impact(name)
	if !ok || !v.SeesService(name) {
		return nil, notFound("service", name)
	}
	return shown(v, v.Impact(impact))
}

func (a *API) graphWithout(c *call) (any, error) {
	place := c.r.PathValue("place")
	v := a.view(c)
	out, ok := a.opt.Control.Without(place)
	if ok {
		out, ok = v.Without(out)
	}
	if !ok {
		return nil, api.Errorf(api.CodeNotFound, "no service stands on node %q; racks are named rack/NAME, and volumes as services list them", place)
	}
	return shown(v, out)
}

func (a *API) graphFindings(c *call) (any, error) {
	v, g := a.view(c), a.opt.Control.Graph()
	return shown(v, api.GraphFindings{Index: g.Index, At: g.At, Findings: v.Findings(graph.Findings(g))})
}

// graphDiff says what changed between two moments, by the events that the record
// keeps. Each moment is an index of the record or a time.
func (a *API) graphDiff(c *call) (any, error) {
	events := a.opt.Store.Events(0, 0)
	from, err := indexAt(events, c.r.FormValue("from"), 0)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "query parameter from: %s", err.Message)
	}
	to, err := indexAt(events, c.r.FormValue("to"), a.opt.Store.Index())
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "query parameter to: %s", err.Message)
	}
	if to < from {
		return nil, api.Errorf(api.CodeInvalid, "query parameter to: it is before from, index %d before %d", to, from)
	}
	var deltas []api.GraphDelta
	for _, e := range events {
		if e.Topic != api.TopicGraph || e.Index <= from || e.Index > to || e.Type != "graph_changed" {
			continue
		}
		var d api.GraphDelta
		if len(e.Payload) == 0 || json.Unmarshal(e.Payload, &d) != nil {
			d.Truncated = true // an event of a cluster below level 2 does not say what changed
		}
		deltas = append(deltas, d)
	}
	out := api.GraphDiff{From: from, To: to, Delta: graph.Compose(deltas)}
	if len(events) >= fullRecord && events[0].Index > from+1 {
		out.Delta.Truncated = true
	}
	out.Delta = a.view(c).Delta(out.Delta)
	return out, nil
}

// indexAt is the index of the last event at or before a time, or the index that
// was given itself.
func indexAt(events []api.Event, text string, otherwise uint64) (uint64, *api.Error) {
	if text == "" {
		return otherwise, nil
	}
	if index, err := strconv.ParseUint(text, 10, 64); err == nil {
		return index, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, api.Errorf(api.CodeInvalid, "want an index of the record or a time such as 2026-11-01T12:00:00Z, have %q", text)
	}
	index := uint64(0)
	for _, e := range events {
		if !e.At.After(at) {
			index = e.Index
		}
	}
	return index, nil
}
