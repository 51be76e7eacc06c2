package orchestrator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// Boundaries of an effect, in their order: its intent is written, it is open
// and nobody is at it, it is looked at, performed, and its outcome is written.
const (
	atIntent  = "intent"
	atOpen    = "open"
	atLook    = "look"
	atAct     = "act"
	atOutcome = "outcome"
)

// Faults that are not drawn at a crossing.
const (
	hitStale   = "stale"
	hitLeader  = "leader"
	hitSkew    = "skew"
	hitRestore = "restore"
	hitPerson  = "person"
)

// boundary is where in the life of which kind of effect a fault strikes.
type boundary struct {
	kind api.EffectKind
	at   string
}

// coverage counts faults by the boundary that they struck.
type coverage map[boundary]map[string]int

func (c coverage) hit(b boundary, fault string) {
	if b.kind == "" {
		return // between two effects
	}
	if c[b] == nil {
		c[b] = map[string]int{}
	}
	c[b][fault]++
}

func (c coverage) add(other coverage) {
	for b, hits := range other {
		for fault, n := range hits {
			c.hit(b, fault)
			c[b][fault] += n - 1
		}
	}
}

// kinds are all effects, in the order of a rollout's life.
func kinds() []api.EffectKind {
	return []api.EffectKind{
		api.EffectSimulate, api.EffectTag, api.EffectStage, api.EffectSettle, api.EffectPromote, api.EffectFinish, api.EffectRollback, api.EffectUnpace,
	}
}

// possible lists the faults that can strike a boundary.
func possible(b boundary) []string {
	switch b.at {
	case atIntent, atOutcome:
		return names(faultError, faultLost, faultLate, faultTwice, faultSlow, faultCrash, faultCrashAfter)
	case atOpen:
		open := []string{hitLeader, hitSkew, hitRestore}
		if b.kind != api.EffectRollback && b.kind != api.EffectUnpace {
			open = append(open, hitPerson) // who can give a rollback up, and no more
		}
		return open
	case atLook:
		looks := names(faultError, faultSlow, faultCrash)
		if b.kind != api.EffectSimulate && b.kind != api.EffectTag {
			looks = append(looks, hitStale) // those two don't look at the job's instances
		}
		return looks
	case atAct:
		if b.kind == api.EffectSimulate {
			return names(faultError, faultSlow, faultCrash) // its twins are in the sandbox, not in the world
		}
		return names(faultError, faultLost, faultLate, faultTwice, faultSlow, faultCrash, faultCrashAfter)
	}
	return nil
}

func names(list ...fault) []string {
	var out []string
	for _, f := range list {
		out = append(out, f.String())
	}
	return out
}

func (f fault) String() string {
	return [...]string{"none", "error", "lost", "late", "twice", "slow", "crash", "crash-after"}[f]
}

// table prints how often which fault struck, and holds that each did that can.
func (c coverage) table(t *testing.T) {
	t.Helper()
	columns := append(names(faultError, faultLost, faultLate, faultTwice, faultSlow, faultCrash, faultCrashAfter),
		hitStale, hitLeader, hitSkew, hitRestore, hitPerson)
	var out strings.Builder
	fmt.Fprintf(&out, "%-18s", "effect")
	for _, name := range columns {
		fmt.Fprintf(&out, "%12s", name)
	}
	var never []string
	for _, kind := range kinds() {
		for _, at := range []string{atIntent, atOpen, atLook, atAct, atOutcome} {
			b := boundary{kind, at}
			fmt.Fprintf(&out, "\n%-18s", string(kind)+" "+at)
			can := possible(b)
			for _, name := range columns {
				switch n := c[b][name]; {
				case n > 0:
					fmt.Fprintf(&out, "%12d", n)
				case slices.Contains(can, name):
					fmt.Fprintf(&out, "%12s", "NEVER")
					never = append(never, fmt.Sprintf("%s at %s %s", name, kind, at))
				default:
					fmt.Fprintf(&out, "%12s", "-")
				}
			}
		}
	}
	t.Logf("faults by the boundary that they struck:\n%s", out.String())
	if *seeds >= 2000 {
		must.SliceEmpty(t, never, must.Sprint("faults that never struck: the worlds test too little"))
	}
}

// tally is what many worlds came to.
type worlds struct {
	turns, played, broken int
	renewed               int   // deployments of a patched job that were begun once more
	sizes                 []int // of the log entries of every 50th world, in bytes
	ends, paths           map[string]int
	accidents             map[string]int // to the fleet
	cover                 coverage
	outside               outskirtsTally
	doubts                doubtsTally
	brakes                brakesTally
	waves                 wavesTally
	undecided             map[string]int // rollouts whose simulation could not decide, by what followed
}

func newWorlds() *worlds {
	return &worlds{ends: map[string]int{}, paths: map[string]int{}, accidents: map[string]int{}, undecided: map[string]int{}, cover: coverage{}}
}

func (s *worlds) add(w *world) {
	s.played++
	s.turns += w.turns
	s.renewed += w.renewed
	s.sizes = append(s.sizes, w.sizes...)
	for _, r := range w.store.Rollouts() {
		s.ends[string(r.Status)]++
		s.paths[w.path+" → "+string(r.Status)]++
	}
	for _, r := range w.store.Rollouts() {
		if r.Undecided != nil {
			s.undecided[r.Undecided.Follows]++
		}
	}
	for what, n := range w.accidents {
		s.accidents[what] += n
	}
	s.cover.add(w.cover)
	s.outside.add(w.outskirts.tally)
	s.doubts.add(w.doubts.tally)
	s.brakes.add(w.brakes.tally)
	s.waves.add(w.waves.tally)
}

func (s *worlds) merge(other *worlds) {
	s.played += other.played
	s.turns += other.turns
	s.sizes = append(s.sizes, other.sizes...)
	s.broken += other.broken
	s.renewed += other.renewed
	for k, n := range other.ends {
		s.ends[k] += n
	}
	for k, n := range other.paths {
		s.paths[k] += n
	}
	for what, n := range other.undecided {
		s.undecided[what] += n
	}
	for what, n := range other.accidents {
		s.accidents[what] += n
	}
	s.cover.add(other.cover)
	s.outside.add(other.outside)
	s.doubts.add(other.doubts)
	s.brakes.add(other.brakes)
	s.waves.add(other.waves)
}

// log prints what was played.
func (s *worlds) log(t *testing.T) {
	t.Helper()
	t.Logf("%d worlds, %d turns; rollouts ended %v", s.played, s.turns, s.ends)
	if n := len(s.sizes); n > 0 {
		slices.Sort(s.sizes)
		t.Logf("log entries: %d bytes p50, %d p90, %d p99, %d at most", s.sizes[n/2], s.sizes[n*9/10], s.sizes[n*99/100], s.sizes[n-1])
	}
	t.Logf("outside of the jobs: %+v", s.outside)
	t.Logf("doubts: %+v", s.doubts)
	t.Logf("brakes: %+v", s.brakes)
	t.Logf("waves: %+v", s.waves)
	t.Logf("accidents: %v; %d deployments of a patched job were begun once more", s.accidents, s.renewed)
	t.Logf("rollouts whose simulation could not decide: %v", s.undecided)
	for _, path := range slices.Sorted(maps.Keys(s.paths)) {
		t.Logf("  %-40s %7d", path, s.paths[path])
	}
}
