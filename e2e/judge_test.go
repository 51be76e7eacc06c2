//go:build e2e

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/examples/shop/deploy"
)

// What takes long is asked for; make aa asks for ten patches, and the noise.
var (
	aa    = flag.Int("aa", 2, "how many patches that change nothing TestShop submits and TestSimulateAlike tries")
	noise = flag.Bool("noise", false, "whether TestShop also promotes a good patch while load and neighbours are restless")
)

// judged runs the judge's tests on the shop.
func (o *oakum) judged(shop deploy.Env) {
	t := o.t
	res := o.Oakum(t.Context(), o.pipeline, "policy", "apply", filepath.Join(root(t), "examples", "policies", "narrow", "narrow.hcl"))
	must.Eq(t, 0, res.Code, must.Sprint(res.Stderr))
	o.warm("catalog", "cart", "store", "front", "backoffice", "pricing")
	t.Run("a patch that burns the processor", func(t *testing.T) { o.in(t).turnedBack(shop, "catalog", "catalog-2.3", "cpu", "latency_p90") }) // whose latency shows first where none of it is left
	t.Run("a patch that answers late", func(t *testing.T) { o.in(t).turnedBack(shop, "catalog", "catalog-2.2", "latency_p90") })
	t.Run("a patch that works its disk", func(t *testing.T) { o.in(t).turnedBack(shop, "store", "store-1.5", "io_") })
	t.Run("patches that change nothing", func(t *testing.T) { o.in(t).same() })
	if *noise { // at the end, for what has been learned in it makes every later judgement careful
		t.Run("a good patch in the noise", func(t *testing.T) { o.in(t).noisy(shop) })
	}
}

// warm waits until the profiler knows how the gauges of some services vary.
func (o *oakum) warm(jobs ...string) {
	o.t.Helper()
	for _, job := range jobs {
		eventually(o.t, "the profile of "+job+" is warm", 3*time.Minute, func() bool {
			var p api.Profile
			res := o.Oakum(o.t.Context(), o.pipeline, "profile", "read", "-json", "default/"+job+"/"+job)
			return res.Code == 0 && json.Unmarshal([]byte(res.Stdout), &p) == nil &&
				slices.ContainsFunc(p.KPIs, func(b api.Baseline) bool { return b.KPI == api.KPICPU && !b.Cold })
		})
	}
}

// turnedBack submits a patch that the first stage must find out by one of the KPIs.
func (o *oakum) turnedBack(shop deploy.Env, job, patch string, kpis ...string) {
	o.t.Helper()
	var before map[string]int
	eventually(o.t, job+" runs one version", time.Minute, func() bool { before = o.shopVersions(job); return len(before) == 1 })
	former := o.spec(job)
	id := o.submitExample(patch, shop)
	most := 0
	r := o.watch(id, func() {
		patched := 0
		for version, n := range o.shopVersions(job) {
			if _, ok := before[version]; !ok {
				patched += n
			}
		}
		most = max(most, patched)
	})
	must.Eq(o.t, api.RolloutRolledBack, r.Status, must.Sprint(r.Reason))
	must.Eq(o.t, 1, most, must.Sprint("only the first stage's instance was ever patched"))
	must.True(o.t, slices.ContainsFunc(kpis, func(kpi string) bool { return strings.Contains(r.Reason, kpi) }), must.Sprint(r.Reason))
	must.Eq(o.t, former, o.spec(job))
	eventually(o.t, "every instance is as before", time.Minute, func() bool { return maps.Equal(before, o.shopVersions(job)) })
}

// watch follows a rollout to its end and tells how long each stage took.
func (o *oakum) watch(id string, look func()) api.Rollout {
	o.t.Helper()
	began, last := time.Now(), ""
	r := o.until(id, func(r api.Rollout) bool {
		look()
		reason, _, _ := strings.Cut(r.Reason, " so far") // each look has other figures
		if line := fmt.Sprintf("%s, stage %d: %s", r.Status, len(r.Stages), reason); line != last {
			o.t.Logf("%4.0f s %s", time.Since(began).Seconds(), line)
			last = line
		}
		return r.Status.Ended()
	})
	o.t.Logf("%s after %s: %s", r.Status, time.Since(began).Round(time.Second), r.Reason)
	return r
}

// shopPatch writes a patch of environment variables of a service.
func (o *oakum) shopPatch(name, job, env string) string {
	task := "server"
	if job == "store" {
		task = "vm"
	}
	return o.patchOf(name, job, setEnv(task, env))
}

// noisy promotes a good patch while the load swings by a factor of four and a
// neighbour on the same machine takes a processor now and then. With twice the load
// two processors are not enough, nothing answers in time, and Oakum holds.
func (o *oakum) noisy(shop deploy.Env) {
	restless := shop
	restless.Swing = "0.3:1.2"
	must.NoError(o.t, deploy.Submit(o.t.Context(), restless, deploy.LoadJob))
	defer func() { must.NoError(o.t, deploy.Submit(o.t.Context(), shop, deploy.LoadJob)) }()
	o.hungry("neighbour", 1)
	r := o.watch(o.submit(o.shopPatch("catalog-noise", "catalog", `SHOP_VERSION = "noise"`)), func() {})
	must.Eq(o.t, api.RolloutComplete, r.Status, must.Sprint(r.Reason))
	must.Eq(o.t, map[string]int{"noise": 10}, o.shopVersions("catalog"))
	must.Len(o.t, 3, r.Stages)
}

// hungry runs tasks that take a whole processor each for one of three seconds.
func (o *oakum) hungry(id string, count int) {
	o.t.Helper()
	task := nomadapi.NewTask("burn", "raw_exec")
	task.Config = map[string]any{"command": "/bin/sh", "args": []string{"-c",
		`while :; do timeout 1 sh -c 'while :; do :; done'; sleep 2; done`}}
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(16)} // as much as any service of the shop
	job := nomadapi.NewServiceJob(id, id, "global", 50)
	job.Datacenters = []string{"*"}
	job.AddTaskGroup(nomadapi.NewTaskGroup("g", count).AddTask(task))
	_, _, err := o.vendor.Jobs().Register(job, nil)
	must.NoError(o.t, err)
	endJob(o.t, o.vendor, id)
	eventually(o.t, id+" run", time.Minute, func() bool {
		stubs, _, err := o.vendor.Jobs().Allocations(id, false, nil)
		must.NoError(o.t, err)
		return len(stubs) == count && !slices.ContainsFunc(stubs, func(s *nomadapi.AllocationListStub) bool { return s.ClientStatus != "running" })
	})
}

// same submits patches that change nothing but a name, to every service in
// turn: each that is turned back is a false alarm. As many as there are services
// are open at once, and neighbours wait for each other.
func (o *oakum) same() {
	type rollout struct{ name, id string }
	jobs := []string{"catalog", "cart", "store", "front", "backoffice", "pricing"}
	var report []string
	for i := 0; i < *aa; i += len(jobs) {
		began := time.Now()
		var open []rollout
		for _, job := range jobs[:min(len(jobs), *aa-i)] {
			name := fmt.Sprintf("%s-same-%d", job, i)
			open = append(open, rollout{name, o.submit(o.shopPatch(name, job, fmt.Sprintf("SHOP_LABEL = %q", name)))})
		}
		for _, one := range open {
			r := o.watch(one.id, func() {})
			must.Eq(o.t, api.RolloutComplete, r.Status, must.Sprint(one.name, r.Reason))
			for _, stage := range r.Stages {
				must.False(o.t, stage.Judged.IsZero(), must.Sprint(one.name, stage.Number))
			}
			report = append(report, fmt.Sprintf("%s: %s, %d stages in %s, %s after the submission", one.name, r.Status, len(r.Stages),
				r.Ended.Sub(r.Stages[0].Began).Round(time.Second), r.Ended.Sub(began).Round(time.Second)))
		}
	}
	must.Len(o.t, *aa, report)
	o.t.Logf("%d patches that change nothing:\n%s", *aa, strings.Join(report, "\n"))
}
