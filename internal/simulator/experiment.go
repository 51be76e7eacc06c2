package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator/evidence"
	"github.com/oakumhq/oakum/internal/workload/stub"
)

// alikeFrom is from how many pairs on two controls are compared as well.
const alikeFrom = 3

// turn is one pair of machines. Swapped has the treatment start first, and alike makes
// both of them controls.
type turn struct {
	name           string // distinguishes its jobs from those of the other turns
	pair           int    // from 1; 0 for two controls
	swapped, alike bool
}

// turns designs the experiment. What the first place of a pair has to itself goes to
// the control and to the treatment equally often, and a trend over time cancels: control
// first, treatment, treatment, control (ABBA). Two controls run after the first pair, so
// that no pass comes before them.
func turns(pairs int) []turn {
	var out []turn
	for i := range pairs {
		r := turn{pair: i + 1, swapped: i%4 == 1 || i%4 == 2}
		if i > 0 {
			r.name = fmt.Sprintf("p%d", r.pair)
		}
		out = append(out, r)
		if i == 0 && pairs >= alikeFrom {
			out = append(out, turn{name: "a", alike: true})
		}
	}
	return out
}

// experiment is one comparison of a patch with what it patches, over pairs of boots.
type experiment struct {
	*Simulator
	request     Request
	task, run   string
	unmonitored string // why QEMU's monitor was refused
	node        string // of the first control, where all others run too
	panel       *evidence.Panel
	likeness    [2]*evidence.Panel // two controls, in both directions; nil without
	workload    *load
	plan        []turn
	ended       bool // no other turn follows
	revert      *api.Revert
	keeps       bool     // the target keeps data beyond its instances
	uncarried   []string // what it keeps and no twin has
	twins       []api.Twin
	egress      egress
	calls       stub.Calls
	longestPair time.Duration // with its boots
	doubts      []string
	lacks       string   // what the twins went without
	env         []string // names of variables of the policy that a machine's arguments take
	proofs      []api.Proof
	unproved    string // why the patched machine was not asked for the fix
	kernel      string // that the patched machine says it runs; empty when it was not asked
}

// undecidedError says why a run can decide nothing about the patch.
type undecidedError struct{ why string }

func (e *undecidedError) Error() string { return e.why }

// faultError is a fault of the patched twin that no KPI measures.
type faultError struct{ why string }

func (e *faultError) Error() string { return e.why }

// compare carries out the experiment. It stops as soon as a KPI has proven the patch
// worse, and after the first pair by which all KPIs are decided, and whether the patched
// machine tries to reach something new.
func (s *Simulator) compare(ctx context.Context, r Request, task, run string, p *evidence.Panel) (api.Impact, error) {
	e := &experiment{Simulator: s, request: r, task: task, run: run, panel: p, plan: turns(p.Pairs())}
	for i, turn := range e.plan {
		if i > 0 && !e.affordable(ctx, 0) { // the removal of the last pair took long
			e.short(turn)
			break
		}
		began := time.Now()
		err := e.turn(ctx, turn, len(e.plan)-i)
		e.longestPair = max(e.longestPair, time.Since(began))
		if undecided, ok := errors.AsType[*undecidedError](err); ok {
			e.doubts = append(e.doubts, undecided.why)
			break
		}
		if fault, ok := errors.AsType[*faultError](err); ok {
			return e.fault(fault.why), nil
		}
		if err != nil {
			return api.Impact{}, err
		}
		if e.ended {
			break
		}
	}
	return e.conclude(), nil
}

// affordable reports whether another turn is likely to end before the simulation's
// time is over, and leaves some of it.
func (e *experiment) affordable(ctx context.Context, kept time.Duration) bool {
	end, ok := ctx.Deadline()
	return !ok || time.Until(end) > e.longestPair+2*e.o.Look+kept
}

// short notes that the experiment ends before a turn, for want of time.
func (e *experiment) short(next turn) {
	e.doubts = append(e.doubts, fmt.Sprintf("there was time for %d of %d pairs of boots (simulator.timeout)", next.pair-1, e.panel.Pairs()))
}

// turn boots one pair, measures it and removes it. It boots the pair again without
// QEMU's monitor when a node refuses that: disk KPIs are then missing, and the simulation
// is still worth it.
func (e *experiment) turn(ctx context.Context, r turn, left int) error {
	err := e.once(ctx, r, left)
	if refused, ok := errors.AsType[*refusedError](err); ok {
		e.o.Logger.Warn("twins start again without QEMU's monitor", "simulation_id", e.request.ID, "reason", refused.why)
		e.unmonitored = refused.why
		r.name += unmonitored
		err = e.once(ctx, r, left)
	}
	return err
}

func (e *experiment) once(ctx context.Context, r turn, left int) (err error) {
	began := time.Now()
	p := &pair{sandbox: e.o.Sandbox, unmonitored: e.unmonitored, turn: r}
	defer func() {
		// The caller's context may have ended, and the twins must be removed all
		// the same.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), teardownMax)
		defer cancel()
		if _, again := errors.AsType[*refusedError](err); e.ended || err != nil && !again {
			e.enter(ctx, r, api.PhaseRemove, 0)
		}
		if err := p.stop(ctx); err != nil {
			// The measurement is still true. The next simulation, or the next
			// leader, sweeps.
			e.o.Logger.Error("twins are left behind", "simulation_id", e.request.ID, "error", err)
		}
	}()
	defer func() { e.twins = append(e.twins, p.describe(context.WithoutCancel(ctx))...) }()
	defer func() { e.observeStubs(ctx, p) }()
	e.enter(ctx, r, api.PhaseBoot, left)
	if err := p.start(ctx, e); err != nil {
		return err
	}
	e.node = cmp.Or(e.node, p.control().state.Node)
	e.lacks, e.env = p.goesWithout(), p.control().Env
	if !r.alike {
		e.keeps, e.uncarried = keepsData(p.treatment()), p.treatment().Uncarried
	}
	if err := p.await(ctx, e.o, e.request.Target.Meta[metaSend]); err != nil {
		return err
	}
	e.lacks = p.goesWithout() // its node may have said more
	if e.workload == nil {
		e.workload = newLoad(e.request, p.control().Path)
	}
	e.panel.RefuseDisks(e.unmonitored)
	if err := e.judge(ctx, p, r, left); err != nil {
		return err
	}
	e.longestPair = max(e.longestPair, time.Since(began))
	e.ended = e.ends(ctx, r, left, p)
	if e.ended && !r.alike && !e.panel.Rejected(time.Now()) && e.egress.fault() == "" {
		return e.rehearseRevert(ctx, p)
	}
	return nil
}

// judge measures a pair whose machines serve.
func (e *experiment) judge(ctx context.Context, p *pair, r turn, left int) error {
	if r.alike {
		return e.measureAlike(ctx, p, left)
	}
	e.panel.Booted(p.control().healthy, p.treatment().healthy)
	if err := e.measure(ctx, p, left, e.panel); err != nil {
		return err
	}
	e.panel.End()
	e.observeEgress(ctx, p)
	state := p.treatment().state
	if why := e.panel.Outgrown(state.MemoryReserved, state.MemoryMax); why != "" {
		return &faultError{why}
	}
	return e.proveBooted(ctx, p)
}

// measureAlike compares two controls, in both directions, with the same judge.
func (e *experiment) measureAlike(ctx context.Context, p *pair, left int) error {
	for i := range e.likeness {
		r := e.request
		r.Judge.FalseAlarm /= 2
		bank, err := evidence.New(r.Judge, r.Spec, e.workload.rate, r.Boots)
		if err != nil {
			return err
		}
		e.likeness[i] = bank
	}
	if err := e.measure(ctx, p, left, e.likeness[0], e.likeness[1]); err != nil {
		return err
	}
	e.observeEgress(ctx, p)
	now := time.Now()
	for _, l := range e.likeness {
		l.End()
		if l.Rejected(now) {
			impact := l.Conclude(now, nil)
			return &undecidedError{"two machines that are alike differ: " + aboutControls(impact.Reason)}
		}
	}
	return nil
}

// fault is the impact of a patch whose twin does not do what the control does.
func (e *experiment) fault(why string) api.Impact {
	impact := api.Impact{KPIs: []api.KPIEffect{}}
	if e.panel.Begun() {
		impact = e.panel.Conclude(time.Now(), nil)
	}
	impact.Verdict, impact.Negative, impact.Reason = api.SimulationReject, true, why
	impact.Reasons = append([]string{why}, e.worse(impact)...)
	return e.complete(impact)
}

// worse are the reasons of the KPIs that reject.
func (e *experiment) worse(impact api.Impact) []string {
	var out []string
	for _, k := range impact.KPIs {
		if k.Kind == api.VerdictAbort {
			out = append(out, k.Reason)
		}
	}
	return out
}

func (e *experiment) conclude() api.Impact {
	if !e.panel.Begun() { // nothing was measured
		return e.complete(api.Impact{
			Verdict: api.SimulationUndecided, Reason: "undecided: " + e.doubts[0], Reasons: e.doubts, KPIs: []api.KPIEffect{},
		})
	}
	if why := e.egress.fault(); why != "" {
		return e.fault(why)
	}
	e.doubts = slices.Concat(e.doubts, e.floor(), e.egress.undecided(), e.revertDoubts())
	impact := e.panel.Conclude(time.Now(), e.doubts)
	return e.complete(impact)
}

// boots is what machines of this run differed by from boot to boot.
func (e *experiment) boots() []api.BootSpread {
	out := e.panel.Boots(false)
	if alike := e.likeness[0]; alike != nil {
		out = append(out, alike.Boots(true)...)
	}
	return out
}

func (e *experiment) complete(impact api.Impact) api.Impact {
	impact = e.calls.Weaken(impact)
	impact.Reason += e.egress.note() + e.revertNote() + e.bootedNote() + e.calls.Note() + e.supplied()
	impact.Revert, impact.Proofs = e.revert, e.proofs
	impact.Boots = e.boots()
	if e.lacks != "" {
		impact.Reason += "; " + e.lacks
	}
	if e.panel.Begun() {
		impact.Reason += "; each twin was sent " + e.request.sent()
	}
	e.recordKernel()
	impact.Twins = e.twins
	if impact.Twins == nil {
		impact.Twins = []api.Twin{}
	}
	for _, t := range e.twins {
		impact.Pairs = max(impact.Pairs, t.Pair)
	}
	return impact
}
