package wire

import (
	"encoding/json"
	"reflect"
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

// views makes views by reflection over the public nouns, so that a field that
// somebody adds to them and a conversion forgets shows as a difference.
func views() *rapid.Generator[api.StrategyView] {
	text := rapid.StringMatching(`[a-z0-9.:-]{0,8}`)
	return rapid.MakeCustom[api.StrategyView](rapid.MakeConfig{
		Types: map[reflect.Type]*rapid.Generator[any]{
			reflect.TypeFor[time.Time](): rapid.Custom(func(t *rapid.T) time.Time {
				return moment(rapid.Int64Range(0, 1<<60).Draw(t, "nanos"))
			}).AsAny(),
			reflect.TypeFor[json.RawMessage](): rapid.Custom(func(t *rapid.T) json.RawMessage {
				return json.RawMessage(`{"stages":[` + rapid.StringMatching(`[1-9][0-9]?`).Draw(t, "config") + `]}`)
			}).AsAny(),
			reflect.TypeFor[api.StageMode]():   rapid.SampledFrom([]api.StageMode{"", api.StageInPlace, api.StageBeside}).AsAny(),
			reflect.TypeFor[api.Build]():       rapid.SampledFrom([]api.Build{"", api.BuildFormer, api.BuildPatched, api.BuildForeign}).AsAny(),
			reflect.TypeFor[api.Health]():      rapid.SampledFrom([]api.Health{"", api.Healthy, api.Unhealthy, api.Pending}).AsAny(),
			reflect.TypeFor[api.VerdictKind](): rapid.SampledFrom([]api.VerdictKind{"", api.VerdictAbort, api.VerdictPromote, api.VerdictContinue, api.VerdictInconclusive}).AsAny(),
		},
		Kinds: map[reflect.Kind]*rapid.Generator[any]{
			reflect.String:  text.AsAny(), // valid UTF-8, as in all that comes from Nomad
			reflect.Float64: rapid.Float64Range(-1e9, 1e9).AsAny(),
		},
	})
}

func TestView_SurvivesTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := views().Draw(t, "view")
		b, err := proto.Marshal(FromView(want))
		must.NoError(t, err)
		var m v1.View
		must.NoError(t, proto.Unmarshal(b, &m))
		// A strategy is asked about instances: no target of its has runs, or is unfit.
		runs := cmpopts.IgnoreFields(api.Target{}, "Type", "Launch", "Unfit")
		if diff := cmp.Diff(want, ToView(&m), cmpopts.EquateEmpty(), runs); diff != "" {
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
