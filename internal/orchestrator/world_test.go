package orchestrator

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
	"github.com/oakumhq/oakum/server/state"
)

var (
	seeds = flag.Int("seeds", 200, "how many worlds TestWorld runs")
	seed  = flag.Int64("seed", -1, "the one world that TestWorld runs, with its whole trace")
)

// TestWorld runs one world per seed: the real state machine, state and
// orchestrator's turns against models of Nomad, Consul, the judge, the
// strategies and the simulator, with faults at every crossing. One goroutine
// drives everything in virtual time, so that a seed always gives the same
// trace; every 50th is run twice to hold that.
func TestWorld(t *testing.T) {
	if *seed >= 0 {
		w := play(t, *seed)
		t.Log(strings.Join(w.trace, "\n"))
		must.NoError(t, w.broken)
		return
	}
	ends := map[string]int{}
	turns, failures := 0, 0
	for i := range *seeds {
		w := play(t, int64(i))
		turns += w.turns
		for _, r := range w.store.Rollouts() {
			ends[string(r.Status)]++
		}
		if w.broken != nil {
			last := w.trace[max(0, len(w.trace)-40):]
			t.Errorf("seed %d: %v\n%s\nagain: go test ./internal/orchestrator -run '^TestWorld$' -seed=%d -v", i, w.broken, strings.Join(last, "\n"), i)
			if failures++; failures >= 3 {
				t.FailNow()
			}
			continue
		}
		if i%50 == 0 {
			must.Eq(t, w.hash.Sum64(), play(t, int64(i)).hash.Sum64(), must.Sprintf("seed %d takes two ways", i))
		}
	}
	t.Logf("%d worlds, %d turns; rollouts ended %v", *seeds, turns, ends)
	if *seeds < 100 {
		return
	}
	for _, s := range []api.RolloutStatus{api.RolloutComplete, api.RolloutRolledBack, api.RolloutCancelled} {
		must.Positive(t, ends[string(s)], must.Sprintf("no rollout became %s: the worlds test too little", s))
	}
}

// fault is what may go wrong at a crossing.
type fault int

const (
	faultNone       fault = iota
	faultError            // an error, and nothing was done
	faultLost             // it was done, and the reply is an error
	faultLate             // it is done after the caller gave up
	faultTwice            // it is done twice
	faultSlow             // it takes its time
	faultCrash            // the leader is gone before it is done
	faultCrashAfter       // the leader is gone before it hears
	faults
)

// delayed is a message that arrives late.
type delayed struct {
	at   time.Time
	what string
	do   func() error
}

// world is everything around the orchestrator.
type world struct {
	rng   *rand.Rand
	fsm   *state.FSM
	store *state.Store
	jobs  map[api.TargetRef]*modelJob
	refs  []api.TargetRef // of jobs, in order
	term  *term
	orch  *Orchestrator
	tries map[string]*attempt // per rollout, of this term
	idle  time.Time           // no leader until then

	faults     bool
	rate       float64 // of faults at a crossing
	stale, bad float64 // views, verdicts
	haunt      float64 // of a registration to arrive late
	meddling   float64 // by people
	checked    bool
	ladder     []api.Advice
	down       map[string]time.Time
	later      []delayed
	views      map[string][]*rollout.JobView
	promised   map[string]bool // stages that a judge or a person let go on
	performed  map[string]int  // registrations per effect
	foreign    map[string]bool // jobs that somebody else changed
	unsure     bool            // a write to the log timed out and was committed late
	good       bool            // the patch does no harm by itself
	excused    map[string]bool // jobs whose rollout was told to turn back

	logIndex uint64
	cached   map[string]api.Rollout // as of cachedAt
	cachedAt uint64
	turns    int
	trace    []string
	whole    bool
	hash     interface {
		io.Writer
		Sum64() uint64
	}
	broken error
}

// play runs one world in a bubble of virtual time.
func play(t *testing.T, n int64) *world {
	t.Helper()
	var w *world
	synctest.Test(t, func(*testing.T) {
		w = newWorld(n)
		w.run()
	})
	return w
}

func newWorld(n int64) *world {
	w := &world{
		rng: rand.New(rand.NewPCG(uint64(n), 0x0a4b)), jobs: map[api.TargetRef]*modelJob{}, tries: map[string]*attempt{},
		down: map[string]time.Time{}, views: map[string][]*rollout.JobView{}, promised: map[string]bool{},
		performed: map[string]int{}, foreign: map[string]bool{}, excused: map[string]bool{}, hash: fnv.New64a(), faults: true, whole: *seed >= 0,
	}
	w.store = state.NewStore()
	w.fsm = state.NewFSM(w.store)
	w.rate = []float64{0, 0.01, 0.05, 0.15}[w.rng.IntN(4)]
	w.stale = []float64{0, 0, 0.05, 0.3}[w.rng.IntN(4)]
	w.bad = []float64{0, 0, 0.02, 0.2}[w.rng.IntN(4)]
	w.haunt = []float64{0, 0, 0.3}[w.rng.IntN(3)]
	w.meddling = []float64{0, 0.002, 0.02}[w.rng.IntN(3)]
	w.checked = w.chance(0.5)
	w.ladder = [][]api.Advice{
		{stage(10, api.StageInPlace), stage(50, api.StageInPlace), stage(100, api.StageInPlace)},
		{stage(1, api.StageInPlace), stage(100, api.StageInPlace)},
		{stage(100, api.StageBeside)},
		{stage(20, api.StageBeside), stage(60, api.StageInPlace), stage(100, api.StageInPlace)},
		{stage(30, api.StageInPlace), stage(100, api.StageBeside)},
	}[w.rng.IntN(5)]
	w.submit()
	return w
}

func stage(percent int, mode api.StageMode) api.Advice {
	return api.Advice{Action: api.AdviceStage, Percent: percent, Mode: mode, Reason: "the next step"}
}

// submit makes the jobs and a rollout for each.
func (w *world) submit() {
	cmd := &state.PatchSubmit{Patch: api.Patch{Name: "p", Digest: "d"}, Plan: api.Plan{ID: "plan", Patch: "p", Digest: "d"}}
	d := w.decision()
	w.good = w.chance(0.8)
	for i := range 1 + w.rng.IntN(3) {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprintf("job%d", i), Group: "g"}
		boot := func(spec string) time.Duration {
			if isPatched(spec) && !w.good && w.chance(0.5) {
				return -1
			}
			return w.between(0, 8*time.Second)
		}
		w.jobs[ref] = newModelJob(ref, 1+w.rng.IntN(12), boot, w.now())
		w.refs = append(w.refs, ref)
		d.Target = ref
		cmd.Rollouts = append(cmd.Rollouts, api.Rollout{
			ID: fmt.Sprintf("r%d", i), Plan: "plan", Patch: "p", PatchDigest: "d", Target: ref, Wave: 1 + i/2, Decision: d,
			Status: api.RolloutPending, Apply: []api.Apply{{Kind: api.ApplyJob, Task: "main"}},
		})
	}
	entry, err := state.Encode(cmd, w.now(), "ada")
	if err == nil {
		err = w.apply(entry)
	}
	if err != nil {
		w.fail("submit: %v", err)
	}
}

func (w *world) decision() api.Decision {
	d := api.Decision{Deadline: api.Duration(w.between(20*time.Second, 90*time.Second))}
	d.Judge.Enabled, d.Judge.Interval = w.chance(0.7), api.Duration(3*time.Second)
	d.Judge.OnInconclusive = []string{"hold", "rollback"}[w.rng.IntN(2)]
	d.Budget.Instances = w.rng.IntN(4)
	d.Budget.Targets = w.rng.IntN(3)
	d.Rollback = api.RollbackSpec{
		OnVerdict: w.chance(0.8), OnHealth: w.chance(0.8), OnDeadline: w.chance(0.9), Quarantine: w.chance(0.5),
	}
	d.Simulate.Required = w.chance(0.3)
	d.Approval.Count = w.rng.IntN(2)
	return d
}

func (w *world) now() time.Time { return time.Now().UTC() }

func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

func (w *world) between(a, b time.Duration) time.Duration {
	return a + time.Duration(w.rng.Int64N(int64(b-a)))
}

func (w *world) roll() fault {
	if !w.faults || !w.chance(w.rate) {
		return faultNone
	}
	return fault(1 + w.rng.IntN(int(faults)-1))
}

func (w *world) say(format string, args ...any) {
	line := w.now().Format("04:05.000 ") + fmt.Sprintf(format, args...)
	_, _ = io.WriteString(w.hash, line)
	w.trace = append(w.trace, line)
	if !w.whole && len(w.trace) > 400 {
		w.trace = slices.Clone(w.trace[len(w.trace)-50:])
	}
}

// fail keeps the first broken promise.
func (w *world) fail(format string, args ...any) {
	if w.broken == nil {
		w.broken = fmt.Errorf(format, args...)
		w.say("BROKEN: %v", w.broken)
	}
}

// run is the life of a world: faults, then peace, then silence.
func (w *world) run() {
	for range 60 + w.rng.IntN(120) {
		if w.ended() {
			break
		}
		time.Sleep(w.between(100*time.Millisecond, 2*time.Second))
		w.weather()
		w.step()
	}
	w.faults = false
	clear(w.down)
	w.say("peace")
	for i := range 1500 {
		if w.broken != nil || w.ended() {
			break
		}
		time.Sleep(time.Second)
		w.step()
		if i%20 == 19 {
			w.help(i)
		}
	}
	if w.broken == nil && !w.ended() {
		w.fail("a rollout never ends")
	}
	w.silence()
	w.term.cancel()
}

// step lets the world go on for a moment and gives every worker a turn.
func (w *world) step() {
	w.arrive()
	for _, ref := range w.refs {
		if w.chance(0.8) { // else the scheduler is busy elsewhere
			w.jobs[ref].schedule(w.now())
		}
	}
	if w.term == nil || w.term.over() {
		w.elect()
	}
	for _, i := range w.rng.Perm(len(w.refs)) {
		id := fmt.Sprintf("r%d", i)
		for range 3 {
			if w.term.over() || w.broken != nil || w.turn(id) != busy {
				break
			}
		}
	}
	w.check()
}

func (w *world) turn(id string) pace {
	if w.now().Before(w.idle) {
		return idle
	}
	a := w.tries[id]
	if a == nil {
		a = &attempt{}
		w.tries[id] = a
	}
	w.turns++
	before := w.rollout(id)
	if before.Status.Ended() && w.turns%20 != 0 {
		return over
	}
	w.term.acting = ""
	if before.Effect != nil {
		w.term.acting = before.Effect.ID
	}
	p := w.orch.turn(w.term.ctx, w.orch.Logger, id, a)
	after := w.rollout(id)
	if after.ModifyIndex != before.ModifyIndex {
		w.say("%s is %s: %s%s", id, after.Status, after.Reason, openEffect(after))
	}
	return p
}

// rollout reads what the log last made of a rollout, without a copy for each
// look at it.
func (w *world) rollout(id string) api.Rollout {
	if w.cachedAt != w.logIndex {
		w.cached, w.cachedAt = map[string]api.Rollout{}, w.logIndex
	}
	r, ok := w.cached[id]
	if !ok {
		if r, ok = w.store.Rollout(id); !ok {
			w.fail("rollout %s is gone", id)
		}
		w.cached[id] = r
	}
	return r
}

func openEffect(r api.Rollout) string {
	if r.Effect == nil {
		return ""
	}
	return fmt.Sprintf(" [%s %s want=%d expect=%d]", r.Effect.ID, r.Effect.Kind, r.Effect.Want, r.Effect.Expect)
}

// elect begins a term, sometimes on a server that knows the state from a
// snapshot alone.
func (w *world) elect() {
	if w.term != nil {
		w.idle = w.now().Add(w.between(0, 10*time.Second))
		if w.chance(0.2) {
			w.restore()
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.term = &term{w: w, ctx: ctx, cancel: cancel}
	w.tries = map[string]*attempt{}
	o := Options{
		Store: w.store, Recorder: w.term, Reader: w.term, Mover: w.term, Tagger: w.term, Judge: w.term, Adviser: w.term,
		Simulator: w.term, Adjacent: func(a, b api.TargetRef) bool { return false },
		Neighbours: func(api.TargetRef) []string { return nil },
		Opens:      func(api.Decision, time.Time) (time.Time, string) { return time.Time{}, "" },
		Logger:     slog.New(slog.DiscardHandler),
	}
	if w.checked {
		o.Checks = w.term
	}
	w.orch = New(o)
	w.say("a term begins")
}

func (w *world) restore() {
	var buf bytes.Buffer
	snap, err := w.fsm.Snapshot()
	if err == nil {
		err = snap.Persist(&sink{&buf})
	}
	next := state.NewStore()
	if err == nil {
		err = next.Restore(&buf)
	}
	if err != nil {
		w.fail("restore a snapshot: %v", err)
		return
	}
	w.store, w.fsm = next, state.NewFSM(next)
	w.say("the next leader has the state from a snapshot")
}

// sink is a snapshot's destination in memory.
type sink struct{ io.Writer }

func (*sink) ID() string    { return "snapshot" }
func (*sink) Close() error  { return nil }
func (*sink) Cancel() error { return nil }

// arrive delivers what was late.
func (w *world) arrive() {
	due := w.later
	w.later = nil
	for _, d := range due {
		if w.now().Before(d.at) {
			w.later = append(w.later, d)
			continue
		}
		w.say("late: %s: %v", d.what, d.do())
		w.check()
	}
}

func (w *world) ended() bool {
	for i := range w.refs {
		if !w.rollout(fmt.Sprintf("r%d", i)).Status.Ended() {
			return false
		}
	}
	return true
}

// silence waits for what is still on its way, and holds that the end was one.
func (w *world) silence() {
	if w.broken != nil {
		return
	}
	index := w.store.Index()
	for range 150 {
		time.Sleep(time.Second)
		w.step()
	}
	if w.store.Index() != index && w.broken == nil {
		w.fail("the log grows after every rollout has ended")
	}
	for _, r := range w.store.Rollouts() {
		w.final(r)
	}
}
