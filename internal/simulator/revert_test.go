package simulator_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
)

// keeping is a model whose target has a data disk.
func keeping() *model {
	m := newModel()
	m.data = []string{"drive /data/store.qcow2"}
	return m
}

func TestRun_ServesAgainOnTheDataOfTheLastTreatment(t *testing.T) {
	m := keeping()
	m.control.format, m.patched.format = 1, 1
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.Eq(t, &api.Revert{Outcome: api.RevertServes, Data: m.data, Requests: 40}, impact.Revert)
		must.StrContains(t, impact.Reason, "; the former version serves on the data that the patched one left (drive /data/store.qcow2)")
		last := impact.Twins[len(impact.Twins)-1]
		must.Eq(t, twin.Reverted, last.Role)
		must.Eq(t, "/images/store-1.0.qcow2", last.Image)
		must.StrHasPrefix(t, "b-", last.Alloc)
		treatment := impact.Twins[len(impact.Twins)-2]
		must.Eq(t, twin.Treatment, treatment.Role)
		must.Eq(t, treatment.Job, last.Job)
		must.StrHasPrefix(t, "a-", treatment.Alloc)
	})
	reverts := 0
	for i, s := range m.specs {
		if s.Former != "" {
			reverts++
			must.Eq(t, len(m.specs)-1, i, must.Sprint("the last of all"))
			must.Nil(t, s.Apply)
			must.Eq(t, "n1", s.Node)
		}
	}
	must.Eq(t, 1, reverts)
}

// TestRun_RejectsAPatchThatCantBeReverted has the patched version write data that the
// former one refuses.
func TestRun_RejectsAPatchThatCantBeReverted(t *testing.T) {
	m := keeping()
	m.control.format, m.patched.format = 1, 2
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict)
		must.True(t, impact.Negative)
		must.StrContains(t, impact.Reasons[0], "the patch can't be reverted: the former version does not serve on the data that the patched one left: it died: exit code 137")
		must.StrHasPrefix(t, impact.Reasons[0], impact.Reason)
		must.Eq(t, api.RevertFails, impact.Revert.Outcome)
	})
	inside := newInsides()
	inside.data, inside.patched.format = []string{"the sticky disk of the group"}, 2
	runInside(t, inside, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.StrHasPrefix(t, "the patch can't be reverted: ", impact.Reasons[0])
	})
}

func TestRun_AsksTheFormerVersionOfContainersFromInside(t *testing.T) {
	m := newInsides()
	m.data = []string{"the sticky disk of the group"}
	runInside(t, m, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.Eq(t, api.RevertServes, impact.Revert.Outcome, must.Sprint(impact.Revert.Reason))
		must.GreaterEq(t, 40, impact.Revert.Requests)
	})
}

func TestRun_WhatTheFormerVersionDoesOnTheData(t *testing.T) {
	cases := map[string]struct {
		again   func(*behaviour)
		verdict api.SimulationVerdict
		outcome api.RevertOutcome
		reason  string
	}{
		"never healthy":       {func(b *behaviour) { b.never = true }, api.SimulationReject, api.RevertFails, "it did not become healthy in time"},
		"dies of requests":    {func(b *behaviour) { b.deadAfter = 7 * time.Second }, api.SimulationReject, api.RevertFails, "it died after "},
		"fails all requests":  {func(b *behaviour) { b.errors = 1 }, api.SimulationReject, api.RevertFails, "it answers 0 % of "},
		"fails now and then":  {func(b *behaviour) { b.errors = 0.22 }, api.SimulationUndecided, api.RevertUndecided, "the former version hardly serves on the data that the patched one left: it answers "},
		"fails hardly at all": {func(b *behaviour) { b.errors = 0.01 }, api.SimulationPass, api.RevertServes, "nothing got worse"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := keeping()
			m.again = c.again
			run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, c.verdict, impact.Verdict, must.Sprint(impact.Reason))
				must.Eq(t, c.outcome, impact.Revert.Outcome)
				must.StrContains(t, strings.Join(append(impact.Reasons, impact.Reason), "; "), c.reason)
			})
		})
	}
}

// TestRun_AFaultyControlIsNoFaultOfTheRevert has the control fail as often as the former
// version does on the data.
func TestRun_AFaultyControlIsNoFaultOfTheRevert(t *testing.T) {
	m := keeping()
	m.control.errors, m.patched.errors = 0.4, 0.4
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.NotEq(t, api.SimulationReject, impact.Verdict, must.Sprint(impact.Reason))
		must.NotEq(t, api.RevertFails, impact.Revert.Outcome)
	})
}

func TestRun_SaysWhyTheRevertWasNotRehearsed(t *testing.T) {
	cases := map[string]struct {
		change  func(*model, *simulator.Request)
		verdict api.SimulationVerdict
		outcome api.RevertOutcome // empty: there is none
		reason  string
	}{
		"no data":               {func(m *model, _ *simulator.Request) { m.data = nil }, api.SimulationPass, api.RevertNothing, "nothing got worse"},
		"no data, and required": {func(m *model, r *simulator.Request) { m.data, r.Spec.Revert = nil, api.RevertRequired }, api.SimulationPass, api.RevertNothing, "nothing got worse"},
		"switched off":          {func(_ *model, r *simulator.Request) { r.Spec.Revert = api.RevertOff }, api.SimulationPass, "", "nothing got worse"},
		"data that no twin has": {
			func(m *model, _ *simulator.Request) { m.data, m.left = nil, []string{"volume data of task app"} },
			api.SimulationPass, api.RevertUntried, "the revert was not rehearsed: no twin has volume data of task app",
		},
		"data that no twin has, and required": {
			func(m *model, r *simulator.Request) {
				m.data, m.left, r.Spec.Revert = nil, []string{"volume data of task app"}, api.RevertRequired
			},
			api.SimulationUndecided, api.RevertUntried, "the policy requires a rehearsed revert: no twin has volume data of task app",
		},
		"a part that no twin has, and required": {
			func(m *model, r *simulator.Request) {
				m.left, r.Spec.Revert = []string{"volume data of task app"}, api.RevertRequired
			},
			api.SimulationUndecided, api.RevertServes, "the policy requires a rehearsed revert, and no twin has volume data of task app",
		},
		"the sandbox's own fault": {
			func(m *model, _ *simulator.Request) { m.away = "Nomad is away" },
			api.SimulationPass, api.RevertUntried, "the revert was not rehearsed: start the former version: Nomad is away",
		},
		"the sandbox's own fault, and required": {
			func(m *model, r *simulator.Request) { m.away, r.Spec.Revert = "Nomad is away", api.RevertRequired },
			api.SimulationUndecided, api.RevertUntried, "the policy requires a rehearsed revert: start the former version: Nomad is away",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, r := keeping(), request()
			c.change(m, &r)
			run(t, m, r, func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, c.verdict, impact.Verdict, must.Sprint(impact.Reason))
				if c.outcome == "" {
					must.Nil(t, impact.Revert)
				} else {
					must.Eq(t, c.outcome, impact.Revert.Outcome)
				}
				must.StrContains(t, strings.Join(append(impact.Reasons, impact.Reason), "; "), c.reason)
			})
		})
	}
}

// TestRun_RehearsesNoRevertOfAPatchThatIsRejected spares the time.
func TestRun_RehearsesNoRevertOfAPatchThatIsRejected(t *testing.T) {
	m := keeping()
	m.patched.errors = 0.5
	run(t, m, request(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationReject, impact.Verdict)
		must.StrContains(t, impact.Reason, "error_rate")
	})
	for _, s := range m.specs {
		must.Eq(t, "", s.Former)
	}
}

// TestRun_TheRevertHasItsPartOfTheTime never ends: it is cut off, and the measurement
// is kept.
func TestRun_TheRevertHasItsPartOfTheTime(t *testing.T) {
	m := keeping()
	m.again = func(b *behaviour) { b.latency = 4 * time.Second }
	synctest.Test(t, func(t *testing.T) {
		r := request()
		r.Spec.Pairs = 1
		r.Spec.Revert = api.RevertRequired
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Within: 200 * time.Second})
		impact, err := s.Run(t.Context(), r)
		must.NoError(t, err)
		must.MapEmpty(t, m.machines)
		must.Eq(t, api.SimulationUndecided, impact.Verdict, must.Sprint(impact.Reason))
		must.Eq(t, api.RevertUntried, impact.Revert.Outcome)
		must.StrContains(t, impact.Revert.Reason, "there was no time left (simulator.timeout)")
	})
}

// TestRun_TellsItsPhases includes the revert and the removal, once each.
func TestRun_TellsItsPhases(t *testing.T) {
	m := keeping()
	var told []string
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{Sandbox: m, Transport: m, Progress: func(_ context.Context, _ string, p api.SimulationProgress) {
			told = append(told, p.Phase)
		}})
		r := request()
		r.Spec.Pairs = 1
		_, err := s.Run(t.Context(), r)
		must.NoError(t, err)
	})
	must.Eq(t, []string{api.PhaseBoot, api.PhaseWarmUp, api.PhaseLoad, api.PhaseRevert, api.PhaseRemove}, told)
}
