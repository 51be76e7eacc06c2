package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/wait"
)

// patience is how long a step may take before it is given up: many times its
// target, so that a slow machine is told by its figures.
const patience = 20 * time.Minute

// connect makes the client of the server that leads now.
func (r *rig) connect(ctx context.Context) (err error) {
	if r.leader, err = r.cluster.Leader(ctx); err != nil {
		return err
	}
	token, err := r.served.Issuer.Token("scale", "deployers", "release-managers")
	if err != nil {
		return err
	}
	r.client, err = client.New(client.Config{Address: r.leader.HTTP, Token: token, Timeout: patience})
	return err
}

// graph waits until every service, target and call is in the graph.
func (r *rig) graph(ctx context.Context) error {
	began := time.Now()
	if err := r.connect(ctx); err != nil {
		return err
	}
	want := 0
	for _, whom := range called(r.settings) {
		want += len(whom)
	}
	var last string
	err := wait.Until(ctx, patience, func() bool {
		// The whole graph is large: it is asked for when its end is there.
		if _, _, err := r.client.GraphImpact(ctx, name(r.services-1), client.Query{}); err != nil {
			last = err.Error()
			return false
		}
		g, _, err := r.client.Graph(ctx, client.Query{})
		if err != nil {
			last = err.Error()
			return false
		}
		last = fmt.Sprintf("%d services, %d targets, %d edges", len(g.Services), len(g.Targets), len(g.Edges))
		return len(g.Services) >= r.services && len(g.Targets) >= r.services && len(g.Edges) >= want
	})
	if err != nil {
		return fmt.Errorf("wait until the graph stands: %w (%s)", err, last)
	}
	r.seconds("until the graph stands", time.Since(began), 0)
	r.add("graph", last)
	if err := r.catalog(ctx); err != nil {
		return err
	}
	r.seconds("until every service of Consul was read", time.Since(began), 0)
	return nil
}

// catalog waits until every service and every proxy of Consul's catalog was read.
// The graph may stand before that: what jobs declare makes the same edges, and the
// leader reads Consul's services one by one.
func (r *rig) catalog(ctx context.Context) error {
	var read int
	err := wait.Until(ctx, patience, func() bool {
		read = r.consul.servicesRead()
		return read >= 2*r.services
	})
	if err != nil {
		return fmt.Errorf("wait until every service of Consul was read: %w (%d of %d)", err, read, 2*r.services)
	}
	return nil
}

// rest watches the leader while nothing is patched.
func (r *rig) rest(ctx context.Context) error {
	return r.watch(ctx, "at rest", restTarget, memoryTarget)
}

// watch takes what the leader uses and asks for over the window.
func (r *rig) watch(ctx context.Context, when string, cores float64, most int64) error {
	say("watching the leader %s for %s", when, r.window)
	pid := r.leader.PID()
	began := time.Now()
	before, err := cpuTime(pid)
	if err != nil {
		return err
	}
	doors := []struct {
		name string
		via  *relay
	}{{"Nomad", r.nomad}, {"Consul", r.consul}, {"Prometheus", r.prometheus}}
	var bytes, requests [3]int64
	for i, d := range doors {
		bytes[i], requests[i] = d.via.bytes.Load(), d.via.requests.Load()
	}
	if err := pause(ctx, r.window); err != nil {
		return err
	}
	after, err := cpuTime(pid)
	if err != nil {
		return err
	}
	rss, err := memory(pid, "VmRSS")
	if err != nil {
		return err
	}
	took := time.Since(began)
	r.cores("leader "+when+": processor", (after-before).Seconds()/took.Seconds(), cores)
	r.bytes("leader "+when+": memory", rss, most)
	for i, d := range doors {
		r.add(fmt.Sprintf("asked of %s %s, by all servers", d.name, when), fmt.Sprintf("%s and %.0f requests a minute",
			size(int64(float64(d.via.bytes.Load()-bytes[i])/took.Minutes())), float64(d.via.requests.Load()-requests[i])/took.Minutes()))
	}
	return nil
}

// pause waits, or ends with the context.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// plans takes the time of a plan for a thousand targets, and for all.
func (r *rig) plans(ctx context.Context) error {
	for _, c := range []struct {
		jobs    string
		targets int
	}{{"svc-00*", min(1_000, r.services)}, {"svc-*", r.services}} {
		began := time.Now()
		receipt, err := r.client.PlanPatch(ctx, api.SourceFile{Name: "scale.hcl", Text: patch("scale-plan", "2", c.jobs)})
		if err != nil {
			return fmt.Errorf("plan for %s: %w", c.jobs, err)
		}
		took := time.Since(began)
		planned := 0
		for _, w := range receipt.Plan.Waves {
			planned += len(w.Targets)
		}
		if planned != c.targets {
			return fmt.Errorf("plan for %s: want %d targets, have %d and %d refusals", c.jobs, c.targets, planned, len(receipt.Plan.Refusals))
		}
		r.seconds(fmt.Sprintf("plan of %d targets", planned), took, planTarget)
		r.add("of which not tried on Nomad", fmt.Sprint(receipt.Untried))
	}
	return nil
}

// underRollouts starts more rollouts than may be under way at once, and watches
// the leader while it carries them out.
func (r *rig) underRollouts(ctx context.Context) error {
	if _, err := r.client.ApplyPolicy(ctx, api.SourceFile{Name: "scale.hcl", Text: steady(r.settings)}); err != nil {
		return err
	}
	var jobs []string
	for i := 0; i < r.services && len(jobs) < 20*r.rollouts; i += max(r.services/(20*r.rollouts), 1) {
		jobs = append(jobs, name(i))
	}
	began := time.Now()
	receipt, err := r.client.SubmitPatch(ctx, api.SourceFile{Name: "scale.hcl", Text: patch("scale-rollouts", "3", jobs...)})
	if err != nil {
		return fmt.Errorf("submit a patch for %d targets: %w", len(jobs), err)
	}
	r.seconds(fmt.Sprintf("submit a patch of %d targets", len(receipt.Rollouts)), time.Since(began), 0)
	if err := r.watch(ctx, fmt.Sprintf("under %d rollouts", r.rollouts), 0, 0); err != nil {
		return err
	}
	states, err := r.progress(ctx)
	r.add("rollouts then", states)
	return err
}

// progress counts the rollouts by what has become of them.
func (r *rig) progress(ctx context.Context) (string, error) {
	all, _, err := r.client.Rollouts(ctx, client.Query{})
	if err != nil {
		return "", err
	}
	counts := map[string]int{}
	for _, one := range all {
		switch {
		case one.Status.Ended():
			counts[string(one.Status)]++
		case one.UnderWay():
			counts["under way"]++
		default:
			counts["waiting"]++
		}
	}
	var out []string
	for _, state := range []string{"under way", "waiting", string(api.RolloutComplete), string(api.RolloutRolledBack), string(api.RolloutFailed)} {
		if counts[state] > 0 {
			out = append(out, fmt.Sprintf("%d %s", counts[state], strings.ReplaceAll(state, "_", " ")))
		}
	}
	return strings.Join(out, ", "), nil
}

// snapshot takes the size of the replicated state.
func (r *rig) snapshot(ctx context.Context) error {
	n, err := r.client.SnapshotSave(ctx, io.Discard)
	if err != nil {
		return err
	}
	r.bytes("snapshot", n, 0)
	return nil
}

// failover kills the leader and takes the time until another changes the fleet.
func (r *rig) failover(ctx context.Context) error {
	if r.servers < 3 {
		return nil // nobody takes over
	}
	began := time.Now()
	r.leader.Kill()
	next := r.nomad.nextEffect() // what the dead one had asked for was asked for before
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-next:
	case <-limited.Done():
		return fmt.Errorf("wait for the next effect after the leader was killed: %w", context.Cause(limited))
	}
	r.seconds("from the leader's death to the next effect", time.Since(began), failoverTarget)
	if err := r.connect(ctx); err != nil {
		return err
	}
	states, err := r.progress(ctx)
	r.add("rollouts then", states)
	return err
}
