package prometheus

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/oakumhq/oakum/e2e/fleet/door"
)

// labelNames serves the names of labels of the series that match, or of all.
func (p *Door) labelNames(w http.ResponseWriter, r *http.Request) {
	p.list(w, r, func(into map[string]bool, l labels.Labels) { l.Range(func(l labels.Label) { into[l.Name] = true }) })
}

// labelValues serves the values that a label has among the series that match, or all.
func (p *Door) labelValues(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	p.list(w, r, func(into map[string]bool, l labels.Labels) {
		if value := l.Get(name); value != "" {
			into[value] = true
		}
	})
}

// list serves what some function takes out of the series that match, sorted.
func (p *Door) list(w http.ResponseWriter, r *http.Request, take func(into map[string]bool, l labels.Labels)) {
	selectors := [][]*labels.Matcher{nil}
	if err := r.ParseForm(); err != nil {
		badData(w, err)
		return
	}
	if texts := r.Form["match[]"]; len(texts) > 0 {
		var err error
		if selectors, err = parser.NewParser(parser.Options{}).ParseMetricSelectors(texts); err != nil {
			invalid(w, "match[]", err)
			return
		}
	}
	end, err := moment(r.FormValue("end"), time.Now())
	if err != nil {
		invalid(w, "end", err)
		return
	}
	limit := 0
	if text := r.FormValue("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 0 {
			invalid(w, "limit", errors.New("limit must be non-negative"))
			return
		}
	}
	found := map[string]bool{}
	q := &querier{p: p, fault: p.Fault(), mint: end.Add(-lookback).UnixMilli(), maxt: end.UnixMilli()}
	for _, matchers := range selectors {
		series := q.Select(r.Context(), false, nil, matchers...)
		for series.Next() {
			take(found, series.At().Labels())
		}
		if err := series.Err(); err != nil {
			failed(w, err)
			return
		}
	}
	list := slices.AppendSeq([]string{}, maps.Keys(found))
	slices.Sort(list)
	answer := answered{Status: "success", Data: list}
	if limit > 0 && len(list) > limit {
		answer.Data, answer.Warnings = list[:limit], []string{"results truncated due to limit"}
	}
	door.Reply(w, answer)
}

// metadata serves the types of the metrics. The exporters of the fleet tell none, as with
// a store that is written to remotely.
func (p *Door) metadata(w http.ResponseWriter, _ *http.Request) {
	door.Reply(w, answered{Status: "success", Data: map[string]any{}})
}
