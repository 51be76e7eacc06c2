package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/wait"
)

// patience is for how long nothing at all may happen. As long as something does,
// a scene takes the time that its machine needs.
const patience = 5 * time.Minute

// reportEvery is how often the narrator reports while it waits.
const reportEvery = 10 * time.Second

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

// healthy waits until the leader has heard of every server for long enough.
func (t *narrator) healthy(ctx context.Context) error {
	cl, err := t.cluster.Client(t.manager)
	if err != nil {
		return err
	}
	return poll(ctx, "every server is healthy", func() (uint64, bool, error) {
		peers, err := cl.Peers(ctx, client.Query{})
		if err != nil {
			return 0, false, nil //nolint:nilerr // a leader may still be forming; patience has an end
		}
		healthy := 0
		for _, p := range peers {
			if p.Healthy != nil && *p.Healthy {
				healthy++
			}
		}
		return uint64(healthy), healthy == len(t.cluster.Servers), nil
	})
}

// tried sends two patches at once, of targets that don't touch each other: one
// that the sandbox condemns, and one that goes blue/green meanwhile.
func (t *narrator) tried(ctx context.Context) error {
	t.chapter("Two patches at once: the sandbox condemns one, the other goes blue/green meanwhile")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := []struct {
		file string
		want api.RolloutStatus
		id   string
	}{{file: "store-1.2.hcl", want: api.RolloutRejected}, {file: "cart-2.0.hcl", want: api.RolloutComplete}}
	for i := range sent {
		var err error
		if sent[i].id, err = t.start(ctx, sent[i].file); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range sent {
		group.Go(func() error {
			_, err := t.follow(ctx, s.id, s.want, nil)
			return err
		})
	}
	return group.Wait()
}

func (t *narrator) good(ctx context.Context) error {
	t.chapter("A good patch for a critical target: sandbox, then 10, 50, 100 %")
	t.say("store is a group of VMs that everything needs in the end, so its patch is tried on twins and goes in stages.")
	if err := t.learned(ctx, "store"); err != nil {
		return err
	}
	return t.submit(ctx, "store-1.1.hcl", api.RolloutComplete)
}

// learned waits until Oakum knows what is usual of a target: when all of its
// instances are patched, there is nothing else to hold them against.
func (t *narrator) learned(ctx context.Context, job string) error {
	cl, err := t.cluster.Client(t.pipeline)
	if err != nil {
		return err
	}
	judged := []string{api.KPIErrorRate, api.KPILatencyP99, api.KPICPU}
	reported := time.Now()
	return poll(ctx, "it is known what is usual of "+job, func() (uint64, bool, error) {
		profile, _, err := cl.Profile(ctx, api.TargetRef{Namespace: "default", Job: job, Group: job}, client.Query{})
		if err != nil {
			return 0, false, nil //nolint:nilerr // nothing may have been learned yet; patience has an end
		}
		var samples uint64
		var unknown []string
		for _, name := range judged {
			at := slices.IndexFunc(profile.KPIs, func(b api.Baseline) bool { return b.KPI == name })
			if at < 0 {
				unknown = append(unknown, name)
				continue
			}
			samples += uint64(profile.KPIs[at].Samples)
			if profile.KPIs[at].Cold {
				unknown = append(unknown, fmt.Sprintf("%s (%d samples)", name, profile.KPIs[at].Samples))
			}
		}
		if len(unknown) > 0 && time.Since(reported) > reportEvery {
			reported = time.Now()
			t.say("  [%s] %-8s learning what is usual of %s", time.Since(t.began).Round(time.Second), job, strings.Join(unknown, ", "))
		}
		return samples, len(unknown) == 0, nil
	})
}

func (t *narrator) green(ctx context.Context) error {
	t.chapter("A patch for a target that nobody else needs: blue/green")
	return t.submit(ctx, "cart-2.0.hcl", api.RolloutComplete)
}

func (t *narrator) rejected(ctx context.Context) error {
	t.chapter("A bad patch: the sandbox condemns it, no instance is touched")
	return t.submit(ctx, "store-1.2.hcl", api.RolloutRejected)
}

func (t *narrator) load(ctx context.Context) error {
	t.chapter("A patch that misbehaves only under production's load: rolled back at the first stage")
	return t.submit(ctx, "store-1.3.hcl", api.RolloutRolledBack)
}

// leader kills the leading server in the middle of a rollout of ten instances.
func (t *narrator) leader(ctx context.Context) error {
	t.chapter("The leader is killed in mid-rollout")
	id, err := t.start(ctx, "catalog-2.0.hcl")
	if err != nil {
		return err
	}
	killed := false
	_, err = t.follow(ctx, id, api.RolloutComplete, func(r api.Rollout) error {
		if killed || len(r.Stages) < 2 || r.Effect != nil {
			return nil
		}
		killed = true
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
	})
	if err == nil && !killed {
		err = errors.New("the rollout was over before the leader could be killed")
	}
	if err != nil {
		return err
	}
	t.say("The rollout went on where it was, and nothing was done twice:")
	return t.show(ctx, t.pipeline, "rollout", "history", id)
}

// submit sends a patch as the pipeline does and follows it to its end.
func (t *narrator) submit(ctx context.Context, file string, want api.RolloutStatus) error {
	id, err := t.start(ctx, file)
	if err != nil {
		return err
	}
	r, err := t.follow(ctx, id, want, nil)
	if err != nil {
		return err
	}
	if r.Simulation != "" {
		if err := t.show(ctx, t.pipeline, "simulation", "read", r.Simulation); err != nil && want != api.RolloutRejected {
			return err
		}
	}
	return nil
}

func (t *narrator) start(ctx context.Context, file string) (string, error) {
	path, ok := t.patches[strings.TrimSuffix(file, ".hcl")]
	if !ok {
		return "", fmt.Errorf("no example patch %s", file)
	}
	t.say("$ oakum patch submit examples/patches/%s", file)
	res := t.cluster.Oakum(ctx, t.pipeline, "patch", "submit", path)
	t.quote(res.Stdout + res.Stderr)
	if res.Code != 0 {
		return "", fmt.Errorf("submit %s: exit code %d", file, res.Code)
	}
	cl, err := t.cluster.Client(t.pipeline)
	if err != nil {
		return "", err
	}
	list, _, err := cl.Rollouts(ctx, client.Query{})
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(list, func(r api.Rollout) bool { return r.Patch == strings.TrimSuffix(file, ".hcl") })
	if at < 0 {
		return "", fmt.Errorf("submit %s: it has started no rollout", file)
	}
	t.say("$ oakum rollout status -watch %s", list[at].ID)
	return list[at].ID, nil
}

// follow prints each change of a rollout until it ends; look sees each state.
func (t *narrator) follow(ctx context.Context, id string, want api.RolloutStatus, look func(api.Rollout) error) (api.Rollout, error) {
	var last string
	var r api.Rollout
	err := poll(ctx, "rollout "+id+" ends", func() (uint64, bool, error) {
		cl, err := t.cluster.Client(t.pipeline)
		if err != nil {
			return 0, false, err
		}
		now, _, err := cl.Rollout(ctx, id, client.Query{})
		if err != nil {
			return r.ModifyIndex, false, nil //nolint:nilerr // between two leaders; patience has an end
		}
		r = now
		patched := 0
		for _, in := range r.Instances {
			if in.Build == api.BuildPatched && in.Health == api.Healthy {
				patched++
			}
		}
		// Each look at the judge has other figures; one line for all of them.
		reason, _, undecided := strings.Cut(r.Reason, "undecided so far")
		if undecided {
			reason += "being judged, undecided so far"
		}
		if line := fmt.Sprintf("%-12s %s", r.Status, reason); line != last {
			t.say("  [%s] %-8s %d patched  %s", time.Since(t.began).Round(time.Second), r.Target.Job, patched, line)
			last = line
		}
		if look != nil {
			if err := look(r); err != nil {
				return 0, false, err
			}
		}
		return r.ModifyIndex, r.Status.Ended(), nil
	})
	if err != nil {
		return r, fmt.Errorf("%w; it is %s: %s", err, r.Status, r.Reason)
	}
	if r.Status != want {
		return r, fmt.Errorf("rollout %s ended as %s, not %s: %s", id, r.Status, want, r.Reason)
	}
	return r, nil
}

// poll asks until the answer is yes, for as long as the mark that comes with the
// answers changes.
func poll(ctx context.Context, what string, ask func() (mark uint64, done bool, err error)) error {
	var failed error
	err := wait.Moving(ctx, patience, func() (uint64, bool) {
		mark, done, err := ask()
		failed = err
		return mark, done || err != nil
	})
	if err := cmp.Or(failed, err); err != nil {
		return fmt.Errorf("waiting until %s: %w", what, err)
	}
	return nil
}
