package prometheus_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/fleet/fixture"
	"github.com/oakumhq/oakum/internal/canary"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/load"
	"github.com/oakumhq/oakum/internal/kpi"
	"github.com/oakumhq/oakum/internal/profiler"
	"github.com/oakumhq/oakum/internal/prometheus"
)

// metrics joins the adapter to the reader of the KPIs, as the server does.
type metrics struct{ client *prometheus.Client }

func (m metrics) Query(ctx context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	found, err := m.client.Query(ctx, promql, at)
	series := make([]kpi.Series, len(found))
	for i, f := range found {
		series[i] = kpi.Series(f)
	}
	return series, err
}

// TestJudgeReadsTheModel: the judge asks the served Prometheus as it asks a
// real one, and comes to the right verdict. The model's time is ahead of the
// clock and stands still, and what is judged lies in its past, so that nothing
// waits and each run is like the last.
func TestJudgeReadsTheModel(t *testing.T) {
	t.Parallel()
	began := time.Date(2126, 11, 4, 9, 0, 0, 0, time.UTC)
	ref := api.TargetRef{Namespace: "default", Job: "catalog", Group: "app"}
	spec := api.JudgeSpec{Enabled: true, FalseAlarm: 0.01, Miss: 0.05, MaxDuration: api.Duration(30 * time.Minute), KPIs: []api.KPISpec{
		{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.0001},
		{KPI: api.KPILatencyP99, AbortAbove: 1.1, PromoteBelow: 1.3, IgnoreBelow: 0.001},
	}}
	for name, tc := range map[string]struct {
		harm   load.Harm
		want   api.VerdictKind
		within time.Duration
		why    string
	}{
		"nothing":   {load.Harm{}, api.VerdictPromote, 20 * time.Minute, ""},
		"errors":    {load.Harm{Errors: 0.1}, api.VerdictAbort, 2 * time.Minute, api.KPIErrorRate},
		"latency":   {load.Harm{Latency: 5}, api.VerdictAbort, 30 * time.Second, api.KPILatencyP99},
		"heavy":     {load.Harm{Latency: 5, Above: 10}, api.VerdictAbort, 30 * time.Second, api.KPILatencyP99},
		"not heavy": {load.Harm{Latency: 5, Above: 500}, api.VerdictPromote, 20 * time.Minute, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fleet.New(7, began)
			f.AddNode(fleet.Node{CPU: 100_000, MemoryMB: 100_000})
			must.NoError(t, f.Load(load.Topology{Services: []load.Service{{Name: "catalog", Rate: 150, Errors: 0.02, Latency: 30 * time.Millisecond}}}))
			f.Behave(func(b fleet.Build) fleet.Behaviour {
				if strings.HasSuffix(b.Group.Tasks[0].Image(), ":2") {
					return fleet.Behaviour{Harm: tc.harm}
				}
				return fleet.Behaviour{}
			})
			for i, image := range []string{"1", "2"} {
				j := fixture.Job("catalog", 6, image)
				j.Groups[0].Update.MaxParallel = 2
				_, err := f.Register(j, false, 0)
				must.NoError(t, err)
				f.Advance(began.Add(time.Duration(i+1) * 10 * time.Minute))
			}
			request := canary.Request{Target: ref, Spec: spec, Started: f.Now()}
			for _, a := range f.Instances(ref) {
				if strings.HasSuffix(a.Group.Tasks[0].Image(), ":2") {
					request.Canary = append(request.Canary, a.ID)
				} else {
					request.Stable = append(request.Stable, a.ID)
				}
			}
			must.Len(t, 2, request.Canary)
			must.Len(t, 4, request.Stable)
			f.Advance(began.Add(time.Hour))
			_, _, _, client := prometheusOf(t, f)
			judge := canary.New(kpi.NewReader(metrics{client}, nil, kpi.Queries{Scrape: 5 * time.Second}), profiler.Restore(nil, 0, nil))
			var verdict api.Verdict
			for after := time.Duration(0); after <= tc.within; after += 5 * time.Second {
				request.Now = request.Started.Add(after)
				v, state, err := judge.Look(t.Context(), request)
				must.NoError(t, err)
				verdict, request.State = v, &state
				if v.Kind != api.VerdictContinue {
					break
				}
			}
			t.Log(verdict.Kind, request.Now.Sub(request.Started), verdict.Reason)
			must.Eq(t, tc.want, verdict.Kind, must.Sprint(verdict.Reason))
			must.StrContains(t, verdict.Reason, tc.why)
		})
	}
}
