package host_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/plugins/conformance"
	"github.com/oakumhq/oakum/plugins/host"
)

func newHost(t *testing.T, o host.Options) *host.Host {
	t.Helper()
	h, err := host.New(t.Context(), o)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, h.Close()) })
	return h
}

// start is the view of a rollout that has not begun.
func start(config string) api.StrategyView {
	return api.StrategyView{
		Rollout: "r1",
		Target:  api.Target{TargetRef: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}, Count: 10},
		Config:  json.RawMessage(config),
	}
}

func TestHost_BuiltinsConformThroughTheProtocol(t *testing.T) {
	h := newHost(t, host.Options{})
	for _, info := range h.List() {
		t.Run(info.Name, func(t *testing.T) {
			advise := func(ctx context.Context, v api.StrategyView) (api.Advice, error) { return h.Advise(ctx, info.Name, v) }
			for _, r := range conformance.Failed(conformance.Run(t.Context(), advise, nil)) {
				t.Errorf("%s: %s", r.Check, r.Detail)
			}
		})
	}
}

func TestHost_ListsBuiltins(t *testing.T) {
	h := newHost(t, host.Options{})
	stages := api.ConfigSchema{Attributes: []api.ConfigAttribute{{
		Name: "stages", Type: "list(number)", Default: json.RawMessage(`[10,50,100]`),
		Doc: "Shares of the target's instances in percent, rising, the last one 100. A judgement follows each.",
	}}}
	sizes := api.ConfigSchema{Attributes: []api.ConfigAttribute{{
		Name: "stages", Type: "list(number)",
		Doc: "Sizes of the patched set in percent of the target's instances, rising, the last one 100. A judgement follows each. " +
			"Without it the full set starts at once.",
	}}}
	want := []api.PluginInfo{
		{Name: "blue_green", Version: "1.1.0", Protocol: 1, Builtin: true, Healthy: true, Schema: sizes},
		{Name: "phased", Version: "1.0.0", Protocol: 1, Builtin: true, Healthy: true, Schema: stages},
		{Name: "selective", Version: "1.0.0", Protocol: 1, Builtin: true, Healthy: true, Schema: stages},
	}
	must.Eq(t, "", cmp.Diff(want, h.List()))
	schema, ok := h.Schema("phased")
	must.True(t, ok)
	must.Eq(t, want[1].Schema, schema)
	_, ok = h.Schema("nothing")
	must.False(t, ok)
}

func TestHost_PhasedConfigurationsThatCantWork(t *testing.T) {
	h := newHost(t, host.Options{})
	cases := map[string]string{
		`{"stages":[]}`:       `strategy "phased": stages: has 0 entries, want 1 to 100`,
		`{"stages":[10,50]}`:  `strategy "phased": stages: ends at 50, want 100: the patch would never reach every instance`,
		`{"stages":[50,10]}`:  `strategy "phased": stages[1]: is 10, want more than 50: stages must rise`,
		`{"stages":[0,100]}`:  `strategy "phased": stages[0]: is 0, want a percentage from 1 to 100`,
		`{"stages":[50,101]}`: `strategy "phased": stages[1]: is 101, want a percentage from 1 to 100`,
		`{"stage":[100]}`:     `strategy "phased": read strategy configuration: json: unknown field "stage"`,
	}
	for config, want := range cases {
		t.Run(config, func(t *testing.T) {
			_, err := h.Advise(t.Context(), "phased", start(config))
			must.EqError(t, err, want)
			must.True(t, api.IsCode(err, api.CodeInvalid))
		})
	}
}

func TestHost_PhasedPassesOverStagesThatAddNothing(t *testing.T) {
	h := newHost(t, host.Options{})
	view := start(`{}`)
	view.Target.Count = 2
	first, err := h.Advise(t.Context(), "phased", view)
	must.NoError(t, err)
	must.Eq(t, 10, first.Percent)
	view.Stages = []api.Stage{{Number: 1, Percent: 10, Instances: 1, Mode: api.StageInPlace, Judged: time.Unix(1, 0)}}
	second, err := h.Advise(t.Context(), "phased", view)
	must.NoError(t, err)
	must.Eq(t, 100, second.Percent) // 50 % of two is the one that is patched already
}

func TestHost_UnknownStrategy(t *testing.T) {
	h := newHost(t, host.Options{})
	_, err := h.Advise(t.Context(), "canary", start(`{}`))
	must.EqError(t, err, `strategy "canary": no such plugin; there are [blue_green phased selective]`)
	must.True(t, api.IsCode(err, api.CodeNotFound))
}

func TestNew_RefusesOptionsThatCantWork(t *testing.T) {
	sum := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	cases := map[string]struct {
		plugins []host.Config
		want    string
	}{
		"no name":      {[]host.Config{{Path: "/p", SHA256: sum}}, `plugin[0]: name "": want lower case letters, digits and underscores, a letter first`},
		"builtin name": {[]host.Config{{Name: "phased", Path: "/p", SHA256: sum}}, `plugin "phased": a built-in strategy has this name`},
		"relative":     {[]host.Config{{Name: "x", Path: "p", SHA256: sum}}, `plugin "x": path "p": want an absolute path`},
		"no checksum":  {[]host.Config{{Name: "x", Path: "/p"}}, "plugin \"x\": sha256 \"\": want the 64 hex digits that `sha256sum /p` prints"},
		"twice": {
			[]host.Config{{Name: "x", Path: "/nowhere", SHA256: sum}, {Name: "x", Path: "/nowhere", SHA256: sum}},
			`plugin "x": the name is configured twice`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := host.New(t.Context(), host.Options{Logger: slog.New(slog.DiscardHandler), Plugins: c.plugins})
			must.EqError(t, err, c.want)
		})
	}
}

func TestCheck(t *testing.T) {
	judged := time.Unix(1, 0)
	inPlace := func(percent int) api.Stage {
		return api.Stage{Number: 1, Percent: percent, Mode: api.StageInPlace, Judged: judged}
	}
	beside := api.Stage{Number: 1, Percent: 100, Mode: api.StageBeside, Judged: judged}
	part := api.Stage{Number: 1, Percent: 10, Mode: api.StageBeside, Judged: judged}
	promoted := beside
	promoted.Promoted = true
	unjudged := inPlace(10)
	unjudged.Judged = time.Time{}
	abort := &api.Verdict{Kind: api.VerdictAbort}
	former := []api.Instance{{Build: api.BuildPatched}, {Build: api.BuildFormer}}

	stage := func(percent int, mode api.StageMode) api.Advice {
		return api.Advice{Action: api.AdviceStage, Percent: percent, Mode: mode, Reason: "r"}
	}
	action := func(a api.AdviceAction) api.Advice { return api.Advice{Action: a, Reason: "r"} }
	cases := map[string]struct {
		view   api.StrategyView
		advice api.Advice
		want   string
	}{
		"first stage":              {api.StrategyView{}, stage(10, api.StageInPlace), ""},
		"next stage":               {api.StrategyView{Stages: []api.Stage{inPlace(10)}}, stage(11, api.StageInPlace), ""},
		"beside":                   {api.StrategyView{}, stage(100, api.StageBeside), ""},
		"promote":                  {api.StrategyView{Stages: []api.Stage{beside}}, action(api.AdvicePromote), ""},
		"finish in place":          {api.StrategyView{Stages: []api.Stage{inPlace(100)}}, action(api.AdviceFinish), ""},
		"finish beside":            {api.StrategyView{Stages: []api.Stage{promoted}}, action(api.AdviceFinish), ""},
		"hold after abort":         {api.StrategyView{Stages: []api.Stage{unjudged}, Verdict: abort}, action(api.AdviceHold), ""},
		"roll back unjudged":       {api.StrategyView{Stages: []api.Stage{unjudged}}, action(api.AdviceRollback), ""},
		"0 percent":                {api.StrategyView{}, stage(0, api.StageInPlace), "proposes a stage of 0 percent, want 1 to 100"},
		"101 percent":              {api.StrategyView{}, stage(101, api.StageInPlace), "proposes a stage of 101 percent, want 1 to 100"},
		"back":                     {api.StrategyView{Stages: []api.Stage{inPlace(50)}}, stage(10, api.StageInPlace), "proposes a stage of 10 percent after one of 50"},
		"same":                     {api.StrategyView{Stages: []api.Stage{inPlace(50)}}, stage(50, api.StageInPlace), "proposes a stage of 50 percent after one of 50"},
		"no mode":                  {api.StrategyView{}, stage(10, ""), `proposes a stage in unknown mode ""`},
		"part beside":              {api.StrategyView{}, stage(10, api.StageBeside), ""},
		"more beside":              {api.StrategyView{Stages: []api.Stage{part}}, stage(100, api.StageBeside), ""},
		"promote a part":           {api.StrategyView{Stages: []api.Stage{part}}, action(api.AdvicePromote), "proposes promote at 10 percent, want 100: the former instances leave together"},
		"finish with a part":       {api.StrategyView{Stages: []api.Stage{part}}, action(api.AdviceFinish), "proposes finish at 10 percent, want 100"},
		"in place late":            {api.StrategyView{Stages: []api.Stage{part}}, stage(50, api.StageInPlace), "proposes a stage in place after one beside"},
		"beside late":              {api.StrategyView{Stages: []api.Stage{inPlace(10)}}, stage(100, api.StageBeside), "proposes a stage beside after one in place"},
		"unjudged":                 {api.StrategyView{Stages: []api.Stage{unjudged}}, stage(50, api.StageInPlace), "proposes stage although stage 1 has not been judged well"},
		"after abort":              {api.StrategyView{Stages: []api.Stage{inPlace(10)}, Verdict: abort}, stage(50, api.StageInPlace), "proposes stage although the last verdict is abort"},
		"promote in place":         {api.StrategyView{Stages: []api.Stage{inPlace(100)}}, action(api.AdvicePromote), "proposes promote although no stage beside has begun"},
		"promote twice":            {api.StrategyView{Stages: []api.Stage{promoted}}, action(api.AdvicePromote), "proposes promote although stage 1 is promoted"},
		"finish at once":           {api.StrategyView{}, action(api.AdviceFinish), "proposes finish at 0 percent, want 100"},
		"finish early":             {api.StrategyView{Stages: []api.Stage{inPlace(50)}}, action(api.AdviceFinish), "proposes finish at 50 percent, want 100"},
		"finish before promotion":  {api.StrategyView{Stages: []api.Stage{beside}}, action(api.AdviceFinish), "proposes finish although the former instances are still there"},
		"finish with former":       {api.StrategyView{Stages: []api.Stage{inPlace(100)}, Instances: former}, action(api.AdviceFinish), "proposes finish although 1 instances run the former job"},
		"nothing":                  {api.StrategyView{}, action(""), `unknown proposal ""`},
		"no reason":                {api.StrategyView{}, api.Advice{Action: api.AdviceHold}, `proposes "hold" without a reason`},
		"control character":        {api.StrategyView{}, api.Advice{Action: api.AdviceHold, Reason: "a\x1b[31m"}, "gives a reason with control characters"},
		"stage after beside stage": {api.StrategyView{Stages: []api.Stage{beside}}, stage(100, api.StageInPlace), "proposes a stage of 100 percent after one of 100"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			err := host.Check(c.view, c.advice)
			if c.want == "" {
				must.NoError(t, err)
				return
			}
			must.EqError(t, err, c.want)
		})
	}
}
