package kpi

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
)

func names(samples []Sample) []string {
	var out []string
	for _, s := range samples {
		out = append(out, s.KPI.Name)
	}
	return out
}

func TestReading_GrownGivesASampleOfEachKPI(t *testing.T) {
	t.Parallel()
	ref := api.TargetRef{Job: "shop"}
	upper := []float64{0.1, 1}
	at := func(seconds int, scale float64) Reading {
		return Reading{
			At: began().Add(time.Duration(seconds) * time.Second),
			Counters: map[string]*Counters{
				"a": {Requests: 10 * scale, Errors: scale, Upper: upper, Buckets: []float64{5 * scale, 9 * scale, 10 * scale}},
				"b": {Requests: 30 * scale, Upper: upper, Buckets: []float64{30 * scale, 30 * scale, 30 * scale}},
				"c": {Requests: 100 / scale}, // it restarted
			},
			Own: map[string]map[string]*Counters{"orders": {"a": {Requests: 4 * scale, Errors: scale}}},
		}
	}
	known := NewReader(nil, nil, Queries{Own: map[string]OwnQuery{"orders": {Kind: api.KPICount, Query: "failed", Total: "all"}}}).Catalogue()
	got := at(5, 2).Grown(at(0, 1), known, ref, []string{"a", "b", "c", "d"})
	must.Eq(t, []string{api.KPIRequests, api.KPIErrorRate, api.KPILatencyP50, api.KPILatencyP99, "orders"}, names(got))
	must.Eq(t, []float64{4}, got[0].Values, must.Sprint("40 requests of two instances in five seconds"))
	for _, s := range got {
		must.Eq(t, ref, s.Target)
		must.Eq(t, SourceMetrics, s.Source)
		must.Eq(t, began().Add(5*time.Second), s.At)
		must.Eq(t, 5, s.Seconds)
	}
	share := got[1].Counted
	must.Eq(t, Increment{Requests: 40, Errors: 1, Upper: upper, Counts: []float64{35, 4, 1}}, share.Sum)
	must.Len(t, 2, share.Each)
	must.Eq(t, 10, share.Halves[0].Requests)
	must.Eq(t, 30, share.Halves[1].Requests)
	must.Eq(t, 4, got[4].Counted.Sum.Requests)

	must.SliceEmpty(t, at(5, 1).Grown(Reading{At: began()}, known, ref, []string{"a"}), must.Sprint("there is nothing to compare with"))
	must.Eq(t, []string{api.KPIRequests}, names(at(5, 1).Grown(at(0, 1), known, ref, []string{"a"})), must.Sprint("no requests, and no share of them"))
}

// TestSampler_BeginsAnewAfterAGap takes no increment over more than the gap, nor over a
// round in which the source did not answer.
func TestSampler_BeginsAnewAfterAGap(t *testing.T) {
	t.Parallel()
	m := &rising{}
	s := NewSampler(NewReader(m, nil, Queries{}), places(crowd(1)), nil, nil)
	at := began()
	round := func(after time.Duration) []string {
		t.Helper()
		at = at.Add(after)
		got, err := s.Sample(t.Context(), Ask{Turn: rounds, Gap: time.Minute}, at)
		must.NoError(t, err)
		must.Len(t, 1, got.Targets)
		return names(got.Samples)
	}
	must.SliceEmpty(t, round(0), must.Sprint("the first round only sets the counters"))
	must.Eq(t, []string{api.KPIRequests, api.KPIErrorRate}, round(5*time.Second))
	must.SliceEmpty(t, round(2*time.Minute))
	must.SliceNotEmpty(t, round(5*time.Second))
	m.away = errors.New("connection refused")
	must.SliceEmpty(t, round(5*time.Second))
	m.away = nil
	must.SliceEmpty(t, round(5*time.Second))
	must.SliceNotEmpty(t, round(5*time.Second))
}

// rising is a source whose counters rise with each question.
type rising struct {
	asked float64
	away  error
}

func (r *rising) Query(_ context.Context, promql string, _ time.Time) ([]Series, error) {
	if r.away != nil {
		return nil, r.away
	}
	r.asked++
	if promql == `sum by (alloc_id) (http_requests_total{alloc_id!=""})` {
		return []Series{of(id(0), r.asked)}, nil
	}
	return nil, nil
}

func TestSampler_KeepsToTheFleet(t *testing.T) {
	t.Parallel()
	layout := crowd(2)
	layout.Instances[1].Healthy = false
	u := uses{}
	for _, in := range layout.Instances {
		u[in.ID] = AllocStats{CPUCores: 1}
	}
	excluded := func() map[string]bool { return map[string]bool{id(0): true} }
	s := NewSampler(NewReader(nil, u, Queries{}), places(layout), excluded, nil)
	round, err := s.Sample(t.Context(), Ask{Turn: rounds}, began())
	must.NoError(t, err)
	must.Eq(t, []string{api.KPICPU, api.KPIMemory, api.KPICPU, api.KPIMemory}, names(round.Samples))
	must.Len(t, 3, round.Samples[0].Values, must.Sprint("without the one that is excluded, and the one that is not healthy"))
	must.Len(t, 5, round.Samples[2].Values)

	_, err = NewSampler(NewReader(nil, u, Queries{}), nowhere{}, nil, nil).Sample(t.Context(), Ask{Turn: rounds}, began())
	must.ErrorContains(t, err, "no path to Nomad")
}

// nowhere is a fleet that nobody knows.
type nowhere struct{}

func (nowhere) Layout(context.Context) (graph.Layout, error) {
	return graph.Layout{}, errors.New("no path to Nomad")
}
