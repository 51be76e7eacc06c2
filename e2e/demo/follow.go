package main

import (
	"cmp"
	"context"
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

// learned waits until Oakum knows what is usual of a target: twins are sent requests at
// its rate, and when all of its instances are patched there is nothing else to hold them
// against.
func (t *narrator) learned(ctx context.Context, job string) error {
	cl, err := t.cluster.Client(t.pipeline)
	if err != nil {
		return err
	}
	judged := []string{api.KPIRequests, api.KPIErrorRate, api.KPILatencyP99, api.KPICPU}
	var reported time.Time
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

// sent is a patch that a scene sends.
type sent struct {
	file string
	want api.RolloutStatus       // in which its rollout must end
	look func(api.Rollout) error // sees each state of the rollout; may be nil
}

// send sends patches as the pipeline does, one after the other, and follows their
// rollouts side by side to their ends.
func (t *narrator) send(ctx context.Context, patches ...sent) ([]api.Rollout, error) {
	ids := make([]string, len(patches))
	for i, p := range patches {
		var err error
		if ids[i], err = t.start(ctx, p.file); err != nil {
			return nil, err
		}
	}
	ended := make([]api.Rollout, len(patches))
	group, ctx := errgroup.WithContext(ctx)
	for i, p := range patches {
		group.Go(func() (err error) {
			ended[i], err = t.follow(ctx, ids[i], p)
			return err
		})
	}
	return ended, group.Wait()
}

// start sends a patch, and returns the ID of its only rollout.
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

// follow prints each change of a rollout until it ends.
func (t *narrator) follow(ctx context.Context, id string, p sent) (api.Rollout, error) {
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
		if p.look != nil {
			if err := p.look(r); err != nil {
				return 0, false, err
			}
		}
		return r.ModifyIndex, r.Status.Ended(), nil
	})
	if err != nil {
		return r, fmt.Errorf("%w; it is %s: %s", err, r.Status, r.Reason)
	}
	if p.want == api.RolloutRejected && r.Status == api.RolloutRolledBack && r.Undecided != nil {
		t.say("  The sandbox could not decide on a machine as busy as this one (%s).", r.Undecided.Reason)
		t.say("  So one instance went first, and production's judge turned it back.")
		return r, nil
	}
	if r.Status != p.want {
		return r, fmt.Errorf("rollout %s ended as %s, not %s: %s", id, r.Status, p.want, r.Reason)
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
