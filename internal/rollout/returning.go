package rollout

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
)

// A rollback goes back in steps. Each registers the former job so that Nomad replaces
// some more instances, as a forward stage does with the patched one, and the next begins
// as those that returned get healthy. So a bad patch that still serves is not turned
// into an outage by the way back (hashicorp/nomad#14200).

// returning is how the instances of a job stand in a rollback. It leaves canaries out:
// they are beside the group, and the registration of the former job ends them.
type returning struct {
	others  []api.Instance // not of the former build, in the order in which Nomad replaces them
	back    int            // of the former build
	alive   int            // of those, not failed: they follow the next registration
	waiting []api.Instance // of those, not healthy yet
	late    []api.Instance // of those, not healthy within their time
	down    int            // others that are not healthy
	missing int            // instances that Nomad has not placed
	before  int            // instances that were not healthy when the rollout began
}

// lost is how many of the former build are not healthy in time, but for those that were
// not before.
func (s returning) lost() int { return max(0, len(s.late)-s.before) }

// returningOf sorts the instances of a view. An instance that is not healthy is late once
// the deadline of a stage has been counted since the last step. One that started so long before
// another one is late as well: no clock but Nomad's is needed for that.
func returningOf(r api.Rollout, v JobView) returning {
	var s returning
	limit, all := deadline(r, v), 0
	var newest time.Time
	for _, in := range v.Instances {
		newest = later(newest, in.Started)
	}
	_, last := tries(r, api.Effect{Kind: api.EffectRollback})
	overdue := last.ID != "" && r.Spans.Effect.D() >= limit
	for _, in := range v.Instances {
		if in.Canary && in.Build != api.BuildFormer {
			continue
		}
		all++
		former := in.Build == api.BuildFormer || in.Build == api.BuildForeign && leftOver(r, in)
		if !former && v.Early[in.ID] {
			in.Health = api.Healthy // it serves: to take it away costs as much
		}
		switch healthy := in.Health == api.Healthy; {
		case !former && !healthy:
			s.others, s.down = append(s.others, in), s.down+1
		case !former:
			s.others = append(s.others, in)
		case healthy:
			s.back++
		case overdue || newest.Sub(in.Started) >= limit:
			s.back, s.late = s.back+1, append(s.late, in)
		default:
			s.back, s.waiting = s.back+1, append(s.waiting, in)
		}
		if former && in.Health != api.Unhealthy {
			s.alive++
		}
	}
	s.missing, s.before = max(0, v.Count-all), r.Former.Unhealthy
	inOrder(s.others, v.PerNode)
	return s
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// slot is the number in an instance's name, job.group[7]. Nomad replaces instances in
// the order of their numbers.
func slot(in api.Instance) int {
	_, text, _ := strings.Cut(in.Name, "[")
	n, _ := strconv.Atoi(strings.TrimSuffix(text, "]"))
	return n
}

// returnable is how many instances a rollback may have away at once; 0 means that
// there is no limit.
func returnable(r api.Rollout, v JobView) int {
	if r.Decision.Rollback.AtOnce {
		return 0
	}
	return mayBeAway(r, v)
}

// size is how many instances the next step takes back where so many may be away at once.
// An instance that is down already costs nothing. One may always be taken while nothing
// that has returned is on its way: what the patch or the world took must not keep the
// rollback from its end. That holds too for as many instances that returned and did not
// get healthy in time as the budget allows. Where there are more, the former build does
// not get up here, and each further step would take a healthy instance away for nothing.
func (s returning) size(allowed int) int {
	if allowed == 0 {
		return len(s.others)
	}
	room := max(0, allowed-len(s.waiting)-s.lost()-s.down-s.missing)
	if room == 0 && len(s.waiting) == 0 && s.lost() <= allowed {
		room = 1
	}
	n := 0
	for _, in := range s.others {
		if in.Health == api.Healthy {
			if room == 0 {
				break
			}
			room--
		}
		n++
	}
	return n
}

// again reports whether the former job may be registered once more so that Nomad starts
// those that have failed. Where it starts none of them, since their tries are used up or
// wait for long, it takes one more healthy instance away instead: so no registration is
// made for that once so many are away.
func (s returning) again(allowed int) bool {
	return len(s.late) > 0 && len(s.waiting)+s.lost() <= allowed+1
}

// stuck says why nothing goes back although nothing is on its way; empty when that is
// not so.
func (s returning) stuck(allowed int, limit time.Duration) string {
	if allowed == 0 || len(s.waiting) > 0 || s.lost() <= allowed {
		return ""
	}
	first := s.late[0]
	return fmt.Sprintf("%d instances of the former version are not healthy after %s and %d may be away at once; %s: %s; "+
		"it goes on when one of them is healthy", s.lost(), limit, allowed, first.Name, first.Because)
}

// BackSize is how many instances the open rollback effect lets Nomad replace, at least 1,
// since a registration moves one at least. What Nomad has not placed takes from that
// number, whether or not there is a node for it: where that has kept the step before from
// its end, the number is larger by as many.
func BackSize(r api.Rollout, v JobView) int {
	s := returningOf(r, v)
	size := s.size(returnable(r, v))
	if r.Effect.Want > 0 && size > 1 {
		size = min(size, r.Effect.Want-s.alive)
	}
	size = max(1, size)
	if _, last := tries(r, api.Effect{Kind: api.EffectRollback}); last.Status == api.EffectFailed {
		size += s.missing
	}
	return size
}

// stepBack opens the next step of a rollback. It waits until Nomad shows what the step
// before has asked for, or has not done so in time, and until there is room.
func (m *machine) stepBack(v JobView) {
	s, allowed := returningOf(m.Rollout, v), returnable(m.Rollout, v)
	size := s.size(allowed)
	_, last := tries(m.Rollout, api.Effect{Kind: api.EffectRollback})
	since := m.Spans.Effect.D()
	switch {
	case !registered(m.Rollout, v):
		size = max(1, size)
	case v.Failed && size == 0 && s.again(allowed) && since >= againMost:
		size = 1 // under a failed deployment Nomad replaces none that has failed
	case size == 0:
		if why := s.stuck(allowed, deadline(m.Rollout, v)); why != "" {
			m.hold([]api.Hold{{Source: sourceBudget, Reason: why}})
		}
		return
	case !v.Failed && last.Want > s.back && since < deadline(m.Rollout, v):
		return // Nomad has not placed what was asked for
	}
	want := s.alive + min(size, len(s.others))
	m.backBy(api.Effect{Kind: api.EffectRollback, Stage: len(m.Stages), Want: want, Expect: v.ModifyIndex}, v)
}
