package wire

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/shoenig/test/must"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/api"
	v1 "github.com/oakumhq/oakum/plugins/proto/v1"
)

// drawView makes views whose every field may be set, so that a field that a
// conversion forgets shows as a difference.
func drawView(t *rapid.T) api.StrategyView {
	text := rapid.StringMatching(`[a-z0-9.:-]{0,8}`)
	number := rapid.IntRange(0, 1_000_000)
	at := rapid.Custom(func(t *rapid.T) time.Time {
		return moment(rapid.Int64Range(0, 1<<60).Draw(t, "nanos"))
	})
	verdictKind := rapid.SampledFrom([]api.VerdictKind{api.VerdictAbort, api.VerdictPromote, api.VerdictContinue, api.VerdictInconclusive})
	effect := rapid.Custom(func(t *rapid.T) api.KPIEffect {
		f := rapid.Float64Range(-1e9, 1e9)
		return api.KPIEffect{
			KPI: text.Draw(t, "kpi"), Kind: verdictKind.Draw(t, "kind"), Stable: f.Draw(t, "stable"), Canary: f.Draw(t, "canary"),
			Unit: text.Draw(t, "unit"), Ratio: f.Draw(t, "ratio"), Evidence: f.Draw(t, "evidence"), Needed: f.Draw(t, "needed"),
			Promote: f.Draw(t, "promote"), Exposure: f.Draw(t, "exposure"), Reason: text.Draw(t, "reason"), Missing: rapid.Bool().Draw(t, "missing"),
		}
	})
	verdict := rapid.Custom(func(t *rapid.T) *api.Verdict {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return &api.Verdict{
			Kind: verdictKind.Draw(t, "kind"), At: at.Draw(t, "at"), Looks: number.Draw(t, "looks"),
			Reason: text.Draw(t, "reason"), KPIs: rapid.SliceOfN(effect, 0, 3).Draw(t, "kpis"),
		}
	})
	stage := rapid.Custom(func(t *rapid.T) api.Stage {
		return api.Stage{
			Number: number.Draw(t, "number"), Percent: number.Draw(t, "percent"),
			Mode:      rapid.SampledFrom([]api.StageMode{api.StageInPlace, api.StageBeside}).Draw(t, "mode"),
			Instances: number.Draw(t, "instances"), Promoted: rapid.Bool().Draw(t, "promoted"), Began: at.Draw(t, "began"),
			Ready: at.Draw(t, "ready"), Judged: at.Draw(t, "judged"), Verdict: verdict.Draw(t, "verdict"),
		}
	})
	instance := rapid.Custom(func(t *rapid.T) api.Instance {
		return api.Instance{
			ID: text.Draw(t, "id"), Name: text.Draw(t, "name"), Node: text.Draw(t, "node"), JobVersion: rapid.Uint64().Draw(t, "version"),
			Build:  rapid.SampledFrom([]api.Build{"", api.BuildFormer, api.BuildPatched, api.BuildForeign}).Draw(t, "build"),
			Canary: rapid.Bool().Draw(t, "canary"), Health: rapid.SampledFrom([]api.Health{api.Healthy, api.Unhealthy, api.Pending}).Draw(t, "health"),
			Because: text.Draw(t, "because"), Started: at.Draw(t, "started"), Address: text.Draw(t, "address"),
		}
	})
	task := rapid.Custom(func(t *rapid.T) api.Task {
		return api.Task{Name: text.Draw(t, "name"), Driver: text.Draw(t, "driver"), Lifecycle: text.Draw(t, "lifecycle"), Image: text.Draw(t, "image")}
	})
	return api.StrategyView{
		Rollout: text.Draw(t, "rollout"),
		Target: api.Target{
			TargetRef: api.TargetRef{Namespace: text.Draw(t, "namespace"), Job: text.Draw(t, "job"), Group: text.Draw(t, "group")},
			Count:     number.Draw(t, "count"), Driver: text.Draw(t, "driver"), Tasks: rapid.SliceOfN(task, 0, 3).Draw(t, "tasks"),
			Services: rapid.SliceOfN(text, 0, 3).Draw(t, "services"), Meta: rapid.MapOfN(text, text, 0, 3).Draw(t, "meta"),
			JobVersion: rapid.Uint64().Draw(t, "version"), JobModifyIndex: rapid.Uint64().Draw(t, "index"),
		},
		Critical:   rapid.Bool().Draw(t, "critical"),
		Config:     json.RawMessage(`{"stages":[` + rapid.StringMatching(`[1-9][0-9]?`).Draw(t, "config") + `]}`),
		Stages:     rapid.SliceOfN(stage, 0, 3).Draw(t, "stages"),
		Instances:  rapid.SliceOfN(instance, 0, 3).Draw(t, "instances"),
		Neighbours: rapid.SliceOfN(text, 0, 3).Draw(t, "neighbours"),
		Verdict:    verdict.Draw(t, "verdict"),
	}
}

func TestView_SurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawView(t)
		b, err := proto.Marshal(FromView(want))
		must.NoError(t, err)
		var m v1.View
		must.NoError(t, proto.Unmarshal(b, &m))
		if diff := cmp.Diff(want, ToView(&m), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("view changed on the wire (-sent +received):\n%s", diff)
		}
	})
}

func TestAdvice_SurvivesTheWire(t *testing.T) {
	for _, want := range []api.Advice{
		{Action: api.AdviceStage, Percent: 10, Mode: api.StageInPlace, Reason: "first"},
		{Action: api.AdviceStage, Percent: 100, Mode: api.StageBeside, Reason: "green"},
		{Action: api.AdvicePromote, Reason: "p"}, {Action: api.AdviceFinish, Reason: "f"},
		{Action: api.AdviceHold, Reason: "h"}, {Action: api.AdviceRollback, Reason: "r"},
	} {
		b, err := proto.Marshal(FromAdvice(want))
		must.NoError(t, err)
		var m v1.Advice
		must.NoError(t, proto.Unmarshal(b, &m))
		must.Eq(t, want, ToAdvice(&m))
	}
}

func TestAdvice_OfANewerPeerIsEmpty(t *testing.T) {
	got := ToAdvice(&v1.Advice{Action: v1.Action(99), Mode: v1.StageMode(99), Percent: 10})
	must.Eq(t, api.Advice{Percent: 10}, got)
	must.Eq(t, api.Advice{}, ToAdvice(nil))
}

func TestSchema_SurvivesTheWire(t *testing.T) {
	want := api.ConfigSchema{Attributes: []api.ConfigAttribute{
		{Name: "a", Type: "list(number)", Default: json.RawMessage("[10,100]"), Doc: "first"},
		{Name: "b", Type: "string", Required: true, Doc: "second"},
	}}
	must.Eq(t, want, ToSchema(FromSchema(want)))
}

// FuzzView proves that no message makes a conversion panic.
func FuzzView(f *testing.F) {
	b, err := proto.Marshal(FromView(api.StrategyView{Rollout: "r", Stages: []api.Stage{{Number: 1, Percent: 10}}}))
	must.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m v1.View
		if proto.Unmarshal(b, &m) != nil {
			return
		}
		first := ToView(&m)
		again := ToView(FromView(first))
		if diff := cmp.Diff(first, again, cmpopts.EquateEmpty(), cmpopts.EquateNaNs()); diff != "" {
			t.Fatalf("view changed on a second trip (-first +second):\n%s", diff)
		}
	})
}
