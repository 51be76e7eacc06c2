package simulator_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestRun_WhatIsNotShownIsInconclusive has patches that change nothing, of which the
// run can't say so.
func TestRun_WhatIsNotShownIsInconclusive(t *testing.T) {
	cases := map[string]struct {
		change func(*model, *simulator.Request)
		reason string
	}{
		"too few requests": {func(_ *model, r *simulator.Request) { r.Spec.Duration = api.Duration(10 * time.Second) }, "error_rate needs more evidence (0 % against 0 %"},
		"a control that fails": {func(m *model, _ *simulator.Request) { m.control.errors, m.patched.errors = 0.6, 0.6 },
			"of its requests well, of which 90 % is the least"},
		"a control that fails where production does too, less": {func(m *model, r *simulator.Request) {
			m.control.errors, m.patched.errors = 0.6, 0.6
			r.Baseline = &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIErrorRate, Mean: 0.2}}}
		}, "of its requests well, of which 72 % is the least"},
		"a control that answers nothing": {func(m *model, _ *simulator.Request) { m.control.errors, m.patched.errors = 1, 1 },
			"the control answers none of the workload's requests well (GET /item/1, GET /item/2, GET /item/3)"},
		"controls that differ": {func(m *model, r *simulator.Request) { r.Spec.Pairs, m.unlike = 4, 5 },
			"two machines that are alike differ: latency_p99 of one control is"},
		"no time for all pairs": {func(m *model, r *simulator.Request) {
			r.Spec.Pairs, r.Spec.Duration = 40, api.Duration(time.Minute)
			m.control.boot, m.patched.boot = 150*time.Second, 150*time.Second
		}, "pairs of boots (simulator.timeout)"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, r := newModel(), request()
			c.change(m, &r)
			run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, api.SimulationUndecided, impact.Verdict, must.Sprint(impact.Reason))
				must.False(t, impact.Negative)
				must.SliceNotEmpty(t, impact.Reasons)
				must.StrContains(t, impact.Reason, "undecided")
				must.StrContains(t, impact.Reason, c.reason)
			})
		})
	}
}

// TestRun_AControlThatFailsLikeProductionDoesIsEnough: the floor is production's own.
func TestRun_AControlThatFailsLikeProductionDoesIsEnough(t *testing.T) {
	m, r := newModel(), request()
	m.control.errors, m.patched.errors = 0.2, 0.2
	r.Baseline = &api.Profile{KPIs: []api.Baseline{{KPI: api.KPIErrorRate, Mean: 0.2}}}
	run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.StrNotContains(t, impact.Reason, "is the least")
	})
}

func TestRun_PairsSwapTheirPlaces(t *testing.T) {
	m, r := newModel(), request()
	r.Spec.Pairs = 4
	run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.SliceContainsFunc(t, impact.Boots, api.KPICPU, func(b api.BootSpread, kpi string) bool { return b.KPI == kpi && b.Freedom == 1 },
			must.Sprint("two controls say what boots differ by"))
	})
	order := ""
	for _, s := range m.specs {
		if s.Apply == nil {
			order += "C"
		} else {
			order += "T"
		}
	}
	// It stops as soon as everything is decided, and not before two controls were
	// compared.
	must.StrHasPrefix(t, "CT"+"CC"+"TC", order)
}

func TestRun_StopsWithTheFirstPairThatRejects(t *testing.T) {
	m, r := newModel(), request()
	r.Spec.Pairs, m.patched.errors = 4, 0.5
	run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict)
		must.Eq(t, 1, impact.Pairs)
		must.Less(t, 60, impact.Requests)
	})
	must.Len(t, 2, m.specs)
}

// TestRun_TheWeightiestReasonComesFirst breaks two things at once.
func TestRun_TheWeightiestReasonComesFirst(t *testing.T) {
	m := newModel()
	m.patched.errors, m.patched.latency = 0.1, 100*time.Millisecond
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict)
		must.StrContains(t, impact.Reasons[0], "latency_p99")
		must.Eq(t, impact.Reasons[0], impact.Reason[:len(impact.Reasons[0])])
	})
}

func TestRun_APatchThatOutgrowsItsReservationIsRejected(t *testing.T) {
	m := newModel()
	m.patched.memory, m.reserved = 2.4e8, 2.3e8
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.StrContains(t, impact.Reason, "the patched twin uses 22")
		must.StrContains(t, impact.Reason, "of memory where its job reserves 219.3 MiB")
	})
	m = newModel()
	m.control.memory, m.patched.memory, m.reserved = 2.4e8, 2.4e8, 2.3e8
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.False(t, impact.Negative, must.Sprint("the control does not fit either"))
	})
}

// TestRun_ThePreparationOfADiskIsNotTheMachines has a node that hashes the patched
// image for longer than a machine may take to serve.
func TestRun_ThePreparationOfADiskIsNotTheMachines(t *testing.T) {
	m := newModel()
	m.patched.prepares = 4 * time.Minute
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.False(t, impact.Negative, must.Sprint(impact.Reason))
		must.Eq(t, twin.Treatment, impact.Twins[1].Role)
		must.Less(t, api.Duration(6*time.Second), impact.Twins[1].HealthyAfter)
	})
}
