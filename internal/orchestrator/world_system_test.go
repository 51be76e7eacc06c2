package orchestrator

import (
	"fmt"
	"math/rand/v2"

	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/server/state/levels"
)

// Jobs that have an instance on every node, and nodes that come and go.

// systems have luck of their own, so that a world without one goes the way that it went
// before.
type systems struct {
	rng   *rand.Rand // nil in a world without them
	joins float64    // of a node, at any moment
	came  int        // nodes
}

func newSystems(n int64, level int) systems {
	rng := rand.New(rand.NewPCG(uint64(n), 0x5e57))
	if level < levels.Eight || rng.Float64() < 0.7 {
		return systems{}
	}
	return systems{rng: rng, joins: []float64{0, 0.002, 0.01}[rng.IntN(3)]}
}

// next draws whether the next job is one.
func (s *systems) next() bool { return s.rng != nil && s.rng.Float64() < 0.6 }

// odd draws whether a strategy proposes what is not possible on a node.
func (s *systems) odd() bool { return s.rng.Float64() < 0.02 }

// joinsMost is how many nodes come at most: the worlds are small.
const joinsMost = 4

// join draws whether a node comes. It is emptied later, and takes nothing then.
func (w *world) join(where string) {
	s := &w.systems
	if s.rng == nil || s.came >= joinsMost || s.rng.Float64() >= s.joins {
		return
	}
	s.came++
	n := w.fleet.AddNode(fleet.Node{Name: fmt.Sprintf("n%d", nodes+s.came), CPU: 100_000, MemoryMB: 100_000})
	w.say("%s comes (%s)", n.Name, where)
	w.accidents[accidentJoin]++
	if s.rng.Float64() < 0.5 {
		w.afterAWhile(func() error {
			if n.Drain != nil || n.Ineligible || !n.Reachable() {
				return nil // it has an accident of its own, and stays
			}
			return w.fleet.DrainNode(n.ID, &fleet.Drain{}, false)
		})
	}
	w.advance()
}

// wants is how many instances a job wants.
func (w *world) wants(j *worldJob) int {
	if !j.system {
		return w.job(j.ref).Groups[0].Count
	}
	n := 0
	for _, node := range w.fleet.Nodes() {
		if node.Takes() {
			n++
		}
	}
	return n
}
