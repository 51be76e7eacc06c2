package judge

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Change is a rollout as far as blame goes: which instances it reaches, and when
// it did something to them.
type Change struct {
	ID      string
	Began   []time.Time // its stages, ascending
	Reached []string    // instances, each once
}

// Fault is one fault signal of an instance: an abort of its KPI, a crash.
type Fault struct {
	Instance string
	At       time.Time
}

// Blame is how well a change explains the faults.
type Blame struct {
	ID       string
	Score    float64 // temporal score, weighed by age, times the spatial one
	Temporal float64 // evidence that faults began with the change
	Spatial  float64 // share of the instances it reached that have a fault
	Faults   int     // after the change, on instances that it reached
}

// blameWindows are the spans after a change in which faults are counted, with
// their weights; the same spans as in Gandalf (Li et al., NSDI 2020), where a
// fault soon after a change counts most.
func blameWindows() []struct {
	span   time.Duration
	weight float64
} {
	return []struct {
		span   time.Duration
		weight float64
	}{{time.Hour, 0.5}, {24 * time.Hour, 0.3}, {72 * time.Hour, 0.2}}
}

const (
	// blameBefore is how far back faults count against blaming a change: what
	// was there before it was not its doing.
	blameBefore = 72 * time.Hour
	// blameHalf is the age at which a change is blamed half as much.
	blameHalf = 24 * time.Hour
)

// Explain votes on which change explains the faults, best first. In time, a
// change gains by faults after it on instances that it reached, the sooner after
// one of its stages the more, and loses by those before its first (Gandalf's
// temporal vote and veto). In space, it gains by the share
// of what it reached that has faults, so that of two changes at the same time the
// one whose instances fail is blamed. Changes without any fault after them are
// left out.
func Explain(changes []Change, faults []Fault, now time.Time) []Blame {
	byInstance := map[string][]time.Time{}
	for _, f := range faults {
		if !f.At.After(now) {
			byInstance[f.Instance] = append(byInstance[f.Instance], f.At)
		}
	}
	var out []Blame
	for _, c := range changes {
		if b := blame(c, byInstance, now); b.Faults > 0 {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b Blame) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID))
	})
	return out
}

func blame(c Change, faults map[string][]time.Time, now time.Time) Blame {
	b := Blame{ID: c.ID}
	windows := blameWindows()
	after := make([]float64, len(windows))
	before, hit := 0.0, 0.0
	var newest time.Time // the stage that the last of the faults followed
	for _, instance := range c.Reached {
		failed := false
		for _, at := range faults[instance] {
			stage := lastBefore(c.Began, at)
			if stage.IsZero() {
				if len(c.Began) > 0 && c.Began[0].Sub(at) <= blameBefore {
					before++
				}
				continue
			}
			b.Faults++
			failed = true
			if stage.After(newest) {
				newest = stage
			}
			for i, w := range windows {
				if at.Sub(stage) <= w.span {
					after[i]++
				}
			}
		}
		if failed {
			hit++
		}
	}
	if b.Faults == 0 {
		return b
	}
	for i, w := range windows {
		b.Temporal += w.weight * math.Log((max(after[i]-before, 0)+1)/(before+1))
	}
	b.Spatial = hit / float64(len(c.Reached))
	age := max(now.Sub(newest).Hours(), 0)
	b.Score = b.Temporal * math.Exp2(-age/blameHalf.Hours())
	if b.Score > 0 { // a poor fit in time gets no better by a poor one in space
		b.Score *= b.Spatial
	}
	return b
}

// lastBefore is the last of some ascending times that is not after at; zero when
// all are.
func lastBefore(times []time.Time, at time.Time) time.Time {
	for _, t := range slices.Backward(times) {
		if !t.After(at) {
			return t
		}
	}
	return time.Time{}
}
