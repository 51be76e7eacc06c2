package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// request tries store-1.1 in two pairs of a minute each, with the KPIs of the usual
// policy.
func request() simulator.Request {
	return simulator.Request{
		ID: "r1/2", Patch: "store-1.1",
		Apply: []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"}},
		Target: api.Target{
			TargetRef: api.TargetRef{Namespace: "default", Job: "store", Group: "store"}, Count: 4, Driver: "qemu",
			Tasks:          []api.Task{{Name: "vm", Driver: "qemu"}, {Name: "proxy", Driver: "raw_exec"}},
			Meta:           map[string]string{"oakum_paths": "/item/1, /item/2,/item/3"},
			JobModifyIndex: 77,
		},
		Spec: api.SimulateSpec{Required: true, Duration: api.Duration(2 * time.Minute)},
		Judge: api.JudgeSpec{
			Enabled: true, FalseAlarm: 0.01, Miss: 0.05,
			KPIs: []api.KPISpec{
				{KPI: api.KPIErrorRate, AbortAbove: 1.1, PromoteBelow: 2, IgnoreBelow: 0.01},
				{KPI: api.KPILatencyP99, AbortAbove: 1.1, PromoteBelow: 1.5, IgnoreBelow: 0.001},
				{KPI: api.KPICPU, AbortAbove: 1.2, PromoteBelow: 1.5, IgnoreBelow: 0.01},
				{KPI: api.KPIRestarts, AbortAbove: 1.1, PromoteBelow: 2},
				{KPI: api.KPIIOOperations, AbortAbove: 1.5, PromoteBelow: 2, IgnoreBelow: 1},
			},
		},
	}
}

// run simulates in a bubble and checks that no machine is left.
func run(t *testing.T, m *model, r simulator.Request, check func(t *testing.T, impact api.Impact, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m})
		impact, err := s.Run(t.Context(), r)
		must.MapEmpty(t, m.machines)
		check(t, impact, err)
	})
}

func TestRun_GoodPatchPasses(t *testing.T) {
	m := newModel()
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.False(t, impact.Negative)
		must.StrContains(t, impact.Reason, "nothing got worse beyond its margin")
		must.StrContains(t, impact.Reason, "latency_p99 was judged up to p75: a pair of boots has 300 requests to show")
		must.StrContains(t, impact.Reason, "not measured in a sandbox: restarts")
		must.Between(t, 1, impact.Pairs, 2)                                  // it ends once everything is decided
		must.Between(t, 295*impact.Pairs, impact.Requests, 301*impact.Pairs) // 5 per second
		must.Len(t, 7, impact.KPIs)
		must.StrNotContains(t, impact.Reason, "not measured:")
		operations, size := impact.KPIs[3], impact.KPIs[4]
		must.Eq(t, api.KPIIOOperations, operations.KPI)
		must.False(t, operations.Unjudged)
		must.Between(t, 3, operations.Canary, 7)
		must.Eq(t, api.KPIIOBytes, size.KPI)
		must.True(t, size.Unjudged)
		must.Between(t, 3*4096, size.Canary, 7*4096)
		must.Between(t, 3*4096, size.Stable, 7*4096)
		must.Between(t, 0.7, size.Ratio, 1.4)

		must.Len(t, 4, impact.Power)
		for _, p := range impact.Power {
			must.Greater(t, 1, p.Ratio, must.Sprint(p.KPI))
		}
		for _, line := range impact.Series {
			must.Between(t, 10, len(line.Control), 64)
			must.Eq(t, len(line.Control), len(line.Treatment))
		}
		boot, growth := impact.KPIs[5], impact.KPIs[6]
		must.Eq(t, "boot_time", boot.KPI)
		must.Between(t, 4, boot.Canary, 5)
		must.True(t, boot.Unjudged)
		must.Eq(t, "memory_growth", growth.KPI)
		must.Between(t, -1e5, growth.Canary, 1e5)

		must.Len(t, 2*impact.Pairs, impact.Twins)
		must.Eq(t, twin.Control, impact.Twins[0].Role)
		must.Eq(t, "/images/store-1.0.qcow2", impact.Twins[0].Image)
		must.Eq(t, twin.Treatment, impact.Twins[1].Role)
		must.Eq(t, "/images/store-1.1.qcow2", impact.Twins[1].Image)
		must.GreaterEq(t, api.Duration(4*time.Second), impact.Twins[1].HealthyAfter)
	})

	must.Nil(t, m.specs[0].Apply)
	must.Eq(t, "", m.specs[0].Node)
	must.Eq(t, "n1", m.specs[1].Node) // where the control is
	for _, s := range m.specs {
		must.Eq(t, 77, s.Expect)
		must.Eq(t, "vm", s.Task)
		must.StrHasPrefix(t, "oakum-twin-r1-2-", s.Job)
	}
}

// TestRun_BothTwinsGetTheSameRequests compares what arrived: the same but for
// what the end cut short.
func TestRun_BothTwinsGetTheSameRequests(t *testing.T) {
	m := newModel()
	run(t, m, request(), func(t *testing.T, _ api.Impact, err error) { must.NoError(t, err) })
	count := func(job string) map[string]int {
		out := map[string]int{}
		for _, p := range m.paths[job] {
			out[p]++
		}
		return out
	}
	control, treatment := count(m.specs[0].Job), count(m.specs[1].Job)
	must.MapLen(t, 3, treatment)
	for _, path := range []string{"/item/1", "/item/2", "/item/3"} {
		must.Greater(t, 30, treatment[path])
		must.Between(t, treatment[path]-2, control[path], treatment[path]+2)
	}
}

func TestRun_BadPatchesAreRejected(t *testing.T) {
	cases := map[string]struct {
		change func(*behaviour)
		reason string
	}{
		"slow":          {func(b *behaviour) { b.latency = 60 * time.Millisecond }, "latency_p99 of the patched twin is"},
		"failing":       {func(b *behaviour) { b.errors = 0.3 }, "error_rate of the patched twin is worse than the control's"},
		"hungry":        {func(b *behaviour) { b.cpu = 0.3 }, "cpu "},
		"writing":       {func(b *behaviour) { b.writes = 50 }, "io_operations "},
		"never healthy": {func(b *behaviour) { b.never = true }, "the patched twin does not serve (it did not become healthy in time, 21s: /health answers 503), while the control was healthy after"},
		"never boots":   {func(b *behaviour) { b.boot = time.Hour }, "does not serve"},
		"dies at boot":  {func(b *behaviour) { b.deadAfter = 2 * time.Second }, "the patched twin does not serve (it died: exit code 137)"},
		"dies in load":  {func(b *behaviour) { b.deadAfter = 20 * time.Second }, "of load (exit code 137), while the control lives"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			c.change(&m.patched)
			run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.True(t, impact.Negative, must.Sprint(impact.Reason))
				must.StrContains(t, impact.Reason, c.reason)
				must.StrNotContains(t, impact.Reason, "canary")
				must.Eq(t, name == "slow", strings.Contains(impact.Reason, ", median "), must.Sprint(impact.Reason))
			})
		})
	}
}

// TestRun_DisksMayStayUnknown: the run goes on, and does not acquit of what it lacks.
func TestRun_DisksMayStayUnknown(t *testing.T) {
	cases := map[string]struct {
		change func(*model)
		reason string
		starts int
	}{
		"refused":        {func(m *model) { m.allowed = false }, `"-qmp" is not in args_allowlist`, 5},
		"silent":         {func(m *model) { m.patched.noBlocks = "QEMU has not answered" }, "patched twin: QEMU has not answered", 4},
		"silent control": {func(m *model) { m.control.noBlocks = "no disk" }, "control: no disk", 4},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			c.change(m)
			run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, api.SimulationUndecided, impact.Verdict, must.Sprint("the policy judges by io_operations"))
				must.Eq(t, []string{fmt.Sprintf("io_operations was not measured (%s)", c.reason)}, impact.Reasons)
				must.StrContains(t, impact.Reason, fmt.Sprintf("; not measured: io_operations, io_bytes (%s)", c.reason))
				for _, k := range impact.KPIs[3:5] {
					must.True(t, k.Missing, must.Sprint(k.KPI))
					must.StrContains(t, k.Reason, "is missing")
				}
				must.Between(t, 590, impact.Requests, 602)
			})
			must.Eq(t, c.starts, len(m.specs))
		})
	}
}

func TestRun_FaultsOfTheSandboxSayNothingAboutThePatch(t *testing.T) {
	cases := map[string]struct {
		change func(*model)
		reason string
	}{
		"control never healthy": {func(m *model) { m.control.never = true }, "control twin: it did not become healthy in time"},
		"control dies":          {func(m *model) { m.control.deadAfter = 20 * time.Second }, "the control twin died after"},
		"both die": {func(m *model) {
			m.control.deadAfter, m.patched.deadAfter = 20*time.Second, 20*time.Second
		}, "twin"},
		"no room":    {func(m *model) { m.noRoom = true }, "there is no room for the treatment: 1 nodes lack memory"},
		"lost reply": {func(m *model) { m.lostCall = true }, "start the treatment: register: the reply was lost"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newModel()
			c.change(m)
			run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
				must.ErrorContains(t, err, c.reason)
				must.False(t, impact.Negative)
			})
		})
	}
}

func TestRun_RefusesWhatItCantTry(t *testing.T) {
	cases := map[string]struct {
		change func(*simulator.Request)
		reason string
	}{
		"no machine": {func(r *simulator.Request) { r.Apply[0].Task = "proxy" }, "the patch changes no virtual machine of default/store/store"},
		"no task":    {func(r *simulator.Request) { r.Apply[0].Task = "web" }, `target default/store/store has no task "web"`},
		"no KPI":     {func(r *simulator.Request) { r.Judge.KPIs = r.Judge.KPIs[3:4] }, "no KPI that a sandbox can measure"},
		"script":     {func(r *simulator.Request) { r.Apply[0].Kind = api.ApplyScript }, "a script runs in an appliance, and this server has none (simulator.appliance)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := request()
			c.change(&r)
			run(t, newModel(), r, func(t *testing.T, _ api.Impact, err error) {
				must.ErrorContains(t, err, c.reason)
				must.True(t, api.IsCode(err, api.CodeInvalid))
			})
		})
	}
}

func TestRun_TearsDownWhenItsContextEnds(t *testing.T) {
	for _, after := range []time.Duration{time.Second, 6 * time.Second, 20 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newModel()
				s := simulator.New(simulator.Options{Sandbox: m, Transport: m})
				lost := errors.New("leadership was lost")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(after, func() { cancel(lost) })
				began := time.Now()
				_, err := s.Run(ctx, request())
				must.ErrorIs(t, err, lost)
				must.Less(t, after+time.Second, time.Since(began))
				must.MapEmpty(t, m.machines)
			})
		})
	}
}

func TestRun_TearsDownWhenItTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newModel()
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Within: 20 * time.Second})
		_, err := s.Run(t.Context(), request())
		must.True(t, api.IsCode(err, api.CodeTimeout), must.Sprint(err))
		must.ErrorContains(t, err, "took longer than 20s (simulator.timeout)")
		must.MapEmpty(t, m.machines)
	})
}

func TestRun_RateFollowsTheProfile(t *testing.T) {
	cases := map[string]struct {
		baseline api.Baseline
		requests int
	}{
		"recorded": {api.Baseline{KPI: api.KPIRequests, Mean: 2}, 240},
		"capped":   {api.Baseline{KPI: api.KPIRequests, Mean: 50}, 600},
		"cold":     {api.Baseline{KPI: api.KPIRequests, Mean: 2, Cold: true}, 600},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := request()
			r.Baseline = &api.Profile{KPIs: []api.Baseline{c.baseline}}
			run(t, newModel(), r, func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Between(t, (c.requests-10)*impact.Pairs/2, impact.Requests, (c.requests+4)*impact.Pairs/2)
			})
		})
	}
}

// TestRun_GoesOnUntilEnoughRequestsWereAnswered has both twins be so slow that most
// of what is asked in six seconds is answered later.
func TestRun_GoesOnUntilEnoughRequestsWereAnswered(t *testing.T) {
	m := newModel()
	m.control.latency, m.patched.latency = 3*time.Second, 3*time.Second
	r := request()
	r.Spec.Duration = api.Duration(6 * time.Second)
	run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Between(t, 27, impact.Requests, 60)
	})
}

// TestRun_GoodPatchesAreRarelyRejected repeats the A/A comparison.
func TestRun_GoodPatchesAreRarelyRejected(t *testing.T) {
	const runs = 20
	rejected := 0
	for seed := range uint64(runs) {
		m := newModel()
		m.rng = rand.New(rand.NewPCG(seed, seed))
		run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
			must.NoError(t, err)
			must.NotEq(t, api.SimulationVerdict(""), impact.Verdict)
			if impact.Negative {
				rejected++
				t.Log(impact.Reason)
			}
		})
	}
	must.LessEq(t, 1, rejected) // 1 percent each; two of twenty is a chance of 2 percent
}

// oven is a model baker.
type oven struct {
	err       error
	baked     twin.Image // what is told of the image beside its path and digest
	spec      twin.BakeSpec
	discarded []string
}

func (o *oven) BakeImage(_ context.Context, spec twin.BakeSpec) (twin.Image, error) {
	o.spec = spec
	baked := o.baked
	baked.Path, baked.Digest, baked.Node = spec.Result, "abc", spec.Node
	return baked, o.err
}

func (o *oven) Bakes() bool { return true }

func (o *oven) BakeNode(context.Context, api.TargetRef, string) (string, error) { return "n1", nil }

func (o *oven) DiscardImage(ctx context.Context, _ api.TargetRef, _ string, baked twin.Image) error {
	o.discarded = append(o.discarded, baked.Path)
	return ctx.Err()
}

func TestTry_ScriptsBecomeTheImageThatWasTried(t *testing.T) {
	proxy := api.Apply{Kind: api.ApplyJob, Task: "proxy", Env: map[string]string{"A": "b"}}
	cases := map[string]struct {
		change    func(*model, *oven)
		negative  string
		discarded bool
	}{
		"good":         {func(*model, *oven) {}, "", false},
		"bad":          {func(m *model, _ *oven) { m.patched.errors = 0.5 }, "error_rate of the patched twin", true},
		"script fails": {func(_ *model, o *oven) { o.err = api.Errorf(api.CodeConflict, "apt-get: not found") }, "the patch fails in a copy of the machine: apt-get: not found", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, o := newModel(), &oven{}
				c.change(m, o)
				s := simulator.New(simulator.Options{Sandbox: m, Baker: o, Transport: m})
				r := request()
				r.Apply = []api.Apply{
					{Kind: api.ApplyImage, Task: "vm", Image: "/images/store-1.1.qcow2"},
					{Kind: api.ApplyScript, Task: "vm", Script: "echo one"},
					proxy,
					{Kind: api.ApplyScript, Task: "vm", Script: "echo two"},
				}
				impact, apply, err := s.Try(t.Context(), r)
				must.NoError(t, err)
				must.StrContains(t, impact.Reason, c.negative)
				must.Eq(t, c.negative != "", impact.Negative)
				must.Eq(t, c.discarded, len(o.discarded) > 0)
				must.Eq(t, "/images/store-1.1.qcow2", o.spec.Image)
				must.Eq(t, []twin.Step{{Script: "echo one"}, {Script: "echo two"}}, o.spec.Steps)
				if !impact.Negative {
					must.RegexMatch(t, regexp.MustCompile(`^/images/store-1\.1\+[0-9a-f]{8}\.qcow2$`), o.spec.Result)
					baked := []api.Apply{{Kind: api.ApplyImage, Task: "vm", Image: o.spec.Result, Digest: "abc"}, proxy}
					must.Eq(t, baked, apply)
					must.Eq(t, baked, m.specs[1].Apply)
				}
			})
		})
	}
}
