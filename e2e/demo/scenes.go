package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
)

func (t *narrator) scenes(ctx context.Context, only string) error {
	for _, s := range t.setting.Scenes(t) {
		if only != "" && !slices.Contains(strings.Split(only, ","), s.name) {
			continue
		}
		if err := s.play(ctx); err != nil {
			return fmt.Errorf("scene %s: %w", s.name, err)
		}
	}
	return nil
}

// known refuses names that no scene has; no name means all scenes.
func known(only string, scenes []scene) error {
	var names []string
	for _, s := range scenes {
		names = append(names, s.name)
	}
	for name := range strings.SplitSeq(only, ",") {
		if only != "" && !slices.Contains(names, name) {
			return fmt.Errorf("-only: no scene %q; there are: %s", name, strings.Join(names, ", "))
		}
	}
	return nil
}

// scene is one part of the story.
type scene struct {
	name string
	play func(context.Context) error
}

// confirmedEdges is how many edges the shop on the real stack has. The model has
// more, and is shown when traffic has confirmed as many.
const confirmedEdges = 7

// graph waits until traffic has confirmed who depends on whom, and shows it.
func (t *narrator) graph(ctx context.Context) error {
	t.chapter("Who depends on whom: declared, allowed and observed")
	cl, err := t.cluster.Client(t.pipeline)
	if err != nil {
		return err
	}
	err = poll(ctx, "traffic has confirmed the edges", func() (uint64, bool, error) {
		g, _, err := cl.Graph(ctx, client.Query{})
		if err != nil {
			return 0, false, nil //nolint:nilerr // a leader may still be forming; patience has an end
		}
		confirmed := 0
		for _, e := range g.Edges {
			if e.State == api.EdgeConfirmed {
				confirmed++
			}
		}
		return uint64(confirmed), confirmed >= confirmedEdges, nil
	})
	if err != nil {
		return err
	}
	for _, args := range t.setting.Graph() {
		if err := t.show(ctx, t.pipeline, args...); err != nil {
			return err
		}
	}
	return nil
}

// The patches that are sent, below examples/patches.
const (
	storeGood     = "store-1.1.hcl"
	storeSlow     = "store-1.2.hcl" // from its first request
	storeUnfit    = "store-1.3.hcl" // for production's load alone
	cartGood      = "cart-2.0.hcl"
	catalogPhased = "catalog-2.0.hcl"
)

// tried sends two patches at once, of targets that don't touch each other: one
// that the sandbox condemns, and one that goes blue/green meanwhile.
func (t *narrator) tried(ctx context.Context) error {
	t.chapter("Two patches at once: the sandbox condemns one, the other goes blue/green meanwhile")
	_, err := t.send(ctx, sent{file: storeSlow, want: api.RolloutRejected}, sent{file: cartGood, want: api.RolloutComplete})
	return err
}

func (t *narrator) good(ctx context.Context) error {
	t.chapter("A good patch for a critical target: sandbox, then 10, 50, 100 %")
	t.say("store is a group of VMs that everything needs in the end, so its patch is tried on twins and goes in stages.")
	if err := t.learned(ctx, "store"); err != nil {
		return err
	}
	return t.simulated(ctx, sent{file: storeGood, want: api.RolloutComplete})
}

func (t *narrator) green(ctx context.Context) error {
	t.chapter("A patch for a target that nobody else needs: blue/green")
	_, err := t.send(ctx, sent{file: cartGood, want: api.RolloutComplete})
	return err
}

func (t *narrator) rejected(ctx context.Context) error {
	t.chapter("A bad patch: the sandbox condemns it, no instance is touched")
	return t.simulated(ctx, sent{file: storeSlow, want: api.RolloutRejected})
}

func (t *narrator) load(ctx context.Context) error {
	t.chapter("A patch that misbehaves only under production's load: rolled back at the first stage")
	return t.simulated(ctx, sent{file: storeUnfit, want: api.RolloutRolledBack})
}

// loadBeside is load while another target goes in stages.
func (t *narrator) loadBeside(ctx context.Context) error {
	t.chapter("A patch that misbehaves only under production's load: rolled back at the first stage")
	t.say("While the sandbox tries it on twins of store, another patch goes to catalog, in stages of 10, 50 and 100 %%.")
	t.say("catalog calls store, and neighbours take turns: no machine of store is patched before catalog is done.")
	for _, job := range []string{"store", "catalog"} {
		if err := t.learned(ctx, job); err != nil {
			return err
		}
	}
	return t.simulated(ctx, sent{file: storeUnfit, want: api.RolloutRolledBack}, sent{file: catalogPhased, want: api.RolloutComplete})
}

// leader kills the leading server in the middle of a rollout of ten instances.
func (t *narrator) leader(ctx context.Context) error {
	t.chapter("The leader is killed in mid-rollout")
	_, err := t.survived(ctx, catalogPhased)
	return err
}

// goodSurvived is good, and the leading server is killed meanwhile.
func (t *narrator) goodSurvived(ctx context.Context) error {
	t.chapter("A good patch for a critical target: sandbox, then 10, 50, 100 %; the leader is killed in mid-rollout")
	t.say("store is a group of VMs that everything needs in the end, so its patch is tried on twins and goes in stages.")
	if err := t.learned(ctx, "store"); err != nil {
		return err
	}
	r, err := t.survived(ctx, storeGood)
	if err != nil {
		return err
	}
	return t.show(ctx, t.pipeline, "simulation", "read", r.Simulation)
}

// simulated sends patches, and shows what the simulation of the first one found.
func (t *narrator) simulated(ctx context.Context, patches ...sent) error {
	ended, err := t.send(ctx, patches...)
	if err != nil {
		return err
	}
	return t.show(ctx, t.pipeline, "simulation", "read", ended[0].Simulation)
}

// survived sends a patch that goes in stages, and kills the leading server when the
// second stage is in place.
func (t *narrator) survived(ctx context.Context, file string) (api.Rollout, error) {
	killed := false
	ended, err := t.send(ctx, sent{file: file, want: api.RolloutComplete, look: func(r api.Rollout) error {
		if killed || len(r.Stages) < 2 || r.Effect != nil {
			return nil
		}
		killed = true
		return t.kill(ctx)
	}})
	if err == nil && !killed {
		err = errors.New("the rollout was over before the leader could be killed")
	}
	if err != nil {
		return api.Rollout{}, err
	}
	t.say("The rollout went on where it was, and nothing was done twice:")
	return ended[0], t.show(ctx, t.pipeline, "rollout", "history", ended[0].ID)
}

// kill ends the leading server as a crash would, and waits for the next leader.
func (t *narrator) kill(ctx context.Context) error {
	leader, err := t.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	leader.Kill()
	began := time.Now()
	next, err := t.cluster.Leader(ctx)
	if err != nil {
		return err
	}
	t.say("  ⚡ killed %s; %s leads after %s", leader.Name, next.Name, time.Since(began).Round(100*time.Millisecond))
	return nil
}
