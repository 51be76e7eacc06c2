package simulator

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Contents tells targets apart by what their twins are made of.
type Contents interface {
	// Content is a digest of a target's job without its names. Targets with the same
	// content have the same twins.
	Content(ctx context.Context, target api.TargetRef) (string, error)
}

// Known is the verdict of a simulation on the same content.
type Known struct {
	Simulation string // ID
	Impact     api.Impact
	Apply      []api.Apply // what production gets
}

// shared lets rollouts of one submission share the verdict on the same content. It is
// safe for concurrent use.
type shared struct {
	mu      sync.Mutex
	flights map[string]*flight // by submission and content
}

// flight is a simulation whose verdict others wait for, or may take until the record
// has it.
type flight struct {
	simulation string        // ID
	done       chan struct{} // closed at its end; known, err and ended are set before
	known      Known
	err        error
	ended      time.Time
}

// flightKept is how long a verdict is kept after its end. By then the record has it, which
// takes seconds.
const flightKept = 10 * time.Minute

// forget drops the flights that ended long ago: a term of leadership may last for months.
// The caller holds the lock.
func (s *shared) forget(now time.Time) {
	maps.DeleteFunc(s.flights, func(_ string, f *flight) bool { return f.over() && now.Sub(f.ended) > flightKept })
}

// over reports whether the flight has ended.
func (f *flight) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// share returns the verdict on the same content, or has try make it. A verdict that is
// being made is waited for, and taken whatever it is. One that was made before is taken
// if it decides. One that does not is taken too, since the same run once more sees no
// more, unless this rollout was tried before and a person wants it anew. A simulation
// that could not be carried out leaves the next one to try.
func (s *Simulator) share(ctx context.Context, r Request, content string, try func() (Known, error)) (Known, error) {
	key := r.Plan + "\x00" + content
	takes := func(k Known) bool { return !r.Again || k.Impact.Says() != api.SimulationUndecided }
	for {
		if s.o.Known != nil {
			if k, ok := s.o.Known(r, content); ok && takes(k) {
				return k, nil
			}
		}
		s.shared.mu.Lock()
		f := s.shared.flights[key]
		if f != nil && f.over() && takes(f.known) {
			s.shared.mu.Unlock()
			return f.known, nil
		}
		if f == nil || f.over() {
			s.shared.forget(time.Now())
			f = &flight{simulation: r.ID, done: make(chan struct{})}
			s.shared.flights[key] = f
			s.shared.mu.Unlock()
			f.known, f.err = try()
			s.shared.mu.Lock()
			f.ended = time.Now()
			if f.err != nil {
				delete(s.shared.flights, key)
			}
			close(f.done)
			s.shared.mu.Unlock()
			return f.known, f.err
		}
		s.shared.mu.Unlock()
		s.progress(ctx, r, api.SimulationProgress{Phase: api.PhaseQueued, Waits: f.simulation})
		select {
		case <-f.done:
			if f.err == nil {
				return f.known, nil
			}
		case <-ctx.Done():
			return Known{}, fmt.Errorf("wait for the verdict on the same content: %w", context.Cause(ctx))
		}
	}
}

// content is the digest of all that a verdict depends on: the target's job, the patch
// with the bytes of its scripts, what is sent, and the policy's wishes. It is empty when
// that is not known; the simulation is then the target's own. An image counts by its
// digest where the patch has one, and by its path otherwise. Of production's traffic only
// that counts which a pass depends on (see floorOf), and the hour whose mix is sent. The
// rate of requests does not count: it is capped for all alike.
func (s *Simulator) content(ctx context.Context, r Request) string {
	if s.o.Contents == nil || r.Plan == "" {
		return ""
	}
	job, err := s.o.Contents.Content(ctx, r.Target.TargetRef)
	if err != nil {
		s.o.Logger.Warn("the target is simulated by itself: its content is not known", "target", r.Target.String(), "error", err)
		return ""
	}
	mixed := r // a copy, since the run chooses by itself
	text, err := json.Marshal([]any{job, r.Patch, r.Apply, r.Spec, r.Judge, r.Target.Meta, floorOf(r), mixed.choose(s.o.RateMax)})
	if err != nil {
		return ""
	}
	sum := sha256.New()
	_, _ = sum.Write(text) // a hash's Write has no error
	for _, a := range r.Apply {
		_, _ = fmt.Fprintf(sum, "%d\n%s", len(a.Script), a.Script) // JSON has no bytes that are no UTF-8
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Try is Run for a rollout. It also returns the changes that production gets: the
// image that was tried stands in the place of the patch's scripts. The image of a
// patch that did not pass is removed. Rollouts of one submission whose targets have the
// same content share one simulation: the impact then says whose it is.
func (s *Simulator) Try(ctx context.Context, r Request) (api.Impact, []api.Apply, error) {
	content := s.content(ctx, r)
	if content == "" {
		return s.run(ctx, r, true)
	}
	known, err := s.share(ctx, r, content, func() (Known, error) {
		impact, apply, err := s.run(ctx, r, true)
		impact.Content = content
		return Known{Simulation: r.ID, Impact: impact, Apply: apply}, err
	})
	if err != nil {
		return api.Impact{}, nil, err
	}
	impact := known.Impact
	if known.Simulation != r.ID {
		impact.SameAs = cmp.Or(impact.SameAs, known.Simulation)
		impact.Series = nil // it is in the record of that one, and so are the consoles
		impact.Twins = slices.Clone(impact.Twins)
		for i := range impact.Twins {
			impact.Twins[i].Console = ""
		}
	}
	return impact, known.Apply, nil
}
