package blame

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Change is a rollout as the vote sees it.
type Change struct {
	ID    string
	Began []time.Time // when each of its stages began, ascending
	Reach []string    // the instances that it may have hurt, each once
}

// Fault is a moment at which an instance got worse.
type Fault struct {
	Instance string
	At       time.Time
}

// Vote is how well a change explains the faults.
type Vote struct {
	ID       string
	Score    float64 // temporal score, halved with each day of age, times the spatial one; may be negative
	Temporal float64 // evidence that faults began with the change: a weighted sum of logarithms, negative when they were there before
	Spatial  float64 // share of the instances in its reach that have a fault, 0 to 1
	Faults   int     // after one of its stages, on instances in its reach
}

// window is a span after a stage in which faults are counted.
type window struct {
	span   time.Duration
	weight float64 // the weights of all windows add up to 1
}

// windows are the spans of Gandalf. A fault soon after a change is in all of
// them, so it counts most.
func windows() []window {
	return []window{{time.Hour, 0.5}, {24 * time.Hour, 0.3}, {72 * time.Hour, 0.2}}
}

const (
	// vetoSpan is how far before a change faults speak against it: it did not
	// cause what was there already.
	vetoSpan = 72 * time.Hour
	// halfLife is the age at which a change is blamed half as much.
	halfLife = 24 * time.Hour
)

// Explain votes on which change explains the faults, best first. Of changes with
// equal scores, the smaller ID is first. Changes without a fault after them are
// left out.
//
// In time, a change gains by faults on instances in its reach, the sooner after
// one of its stages the more, and loses by faults before its first stage. In
// space, it gains by the share of its reach that has faults: of two changes at
// the same time, the one whose instances fail is blamed.
func Explain(changes []Change, faults []Fault, now time.Time) []Vote {
	byInstance := map[string][]time.Time{}
	for _, f := range faults {
		if !f.At.After(now) {
			byInstance[f.Instance] = append(byInstance[f.Instance], f.At)
		}
	}
	var out []Vote
	for _, c := range changes {
		if v := c.vote(byInstance, now); v.Faults > 0 {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, func(a, b Vote) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// vote scores one change.
func (c Change) vote(faults map[string][]time.Time, now time.Time) Vote {
	v := Vote{ID: c.ID}
	after := make([]float64, len(windows()))
	before, hit := 0.0, 0.0
	var newest time.Time // the last stage that a fault followed
	for _, instance := range c.Reach {
		failed := false
		for _, at := range faults[instance] {
			stage := lastBefore(c.Began, at)
			if stage.IsZero() {
				if len(c.Began) > 0 && c.Began[0].Sub(at) <= vetoSpan {
					before++
				}
				continue
			}
			v.Faults++
			failed = true
			if stage.After(newest) {
				newest = stage
			}
			for i, w := range windows() {
				if at.Sub(stage) <= w.span {
					after[i]++
				}
			}
		}
		if failed {
			hit++
		}
	}
	if v.Faults == 0 {
		return v
	}
	for i, w := range windows() {
		v.Temporal += w.weight * math.Log((max(after[i]-before, 0)+1)/(before+1))
	}
	v.Spatial = hit / float64(len(c.Reach))
	age := max(now.Sub(newest).Hours(), 0)
	v.Score = v.Temporal * math.Exp2(-age/halfLife.Hours())
	if v.Score > 0 { // a small share must not make a negative score look better
		v.Score *= v.Spatial
	}
	return v
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
