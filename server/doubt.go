package server

import (
	"slices"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/planner"
)

// sources are the statuses in the record, with a mark at each of which this leader has
// recorded no answer yet. Until the leader has a mapper, those are all.
func (c *control) sources() []api.SourceStatus {
	c.mu.Lock()
	maps := c.maps
	c.mu.Unlock()
	if maps == nil {
		recorded := c.store.Sources()
		for i := range recorded {
			recorded[i].Unread = true
		}
		return recorded
	}
	unread := maps.Unread() // before the record is read: what is read by then is in it
	return mark(c.store.Sources(), unread)
}

// mark says of the unread sources that they are; some may not be in the record at all.
func mark(recorded []api.SourceStatus, unread []string) []api.SourceStatus {
	for _, name := range unread {
		i := slices.IndexFunc(recorded, func(s api.SourceStatus) bool { return s.Name == name })
		if i < 0 {
			recorded = append(recorded, api.SourceStatus{Name: name})
			i = len(recorded) - 1
		}
		recorded[i].Unread = true
	}
	return recorded
}

// reconsider makes the decision anew of a rollout that waits for an approval which
// was asked for in doubt. The error says why the doubt stands; it has code unavailable
// while the graph is not whole.
func (c *control) reconsider(r api.Rollout) (api.Decision, error) {
	in := planner.Input{Sources: c.sources()}
	err := planner.NotWhole(in.Sources) // asked first: what follows costs more
	if err != nil {
		return api.Decision{}, err
	}
	if in.Library, err = c.library(); err != nil {
		return api.Decision{}, err
	}
	var impact *api.Impact
	if r.Simulation != "" {
		sim, ok := c.store.Simulation(r.Simulation)
		if !ok || sim.Impact == nil {
			return api.Decision{}, api.Errorf(api.CodeConflict, "decide on %s anew: what simulation %s showed is not known any more", r.Target, r.Simulation)
		}
		impact = sim.Impact
	}
	in.Patch, _ = c.store.Patch(r.Patch)
	// Every rollout of a large plan asks when a doubt ends: what they have in common
	// is made once.
	in.Open, in.Now = c.store.Beside(r.Plan), time.Now().UTC()
	c.view(func(g api.Graph, _ *graph.Analysis) { in.Graph, in.Targets = g, c.listed() })
	return planner.Reconsider(in, r, impact)
}

// listed are the targets of the graph as it was viewed last. They are shared, and must
// not be changed. The caller is in view.
func (c *control) listed() []api.Target {
	if c.targets == nil {
		c.targets = make([]api.Target, len(c.viewed.Targets))
		for i, t := range c.viewed.Targets {
			c.targets[i] = t.Target
		}
	}
	return c.targets
}
