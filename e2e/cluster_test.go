//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/wait"
)

// sleeperPolicy is for jobs that answer no requests: health alone decides.
const sleeperPolicy = `
policy "sleepers" {
  applies = target.namespace == "default" && target.meta.kind == "sleeper"
  critical = target.meta.critical == "yes"
  judge {
    enabled = false
  }
}
`

// heldPolicy is for jobs whose rollouts stand still at every stage until a
// person promotes it: the judge takes its first look, which decides nothing,
// and the next one an hour later.
const heldPolicy = `
policy "held" {
  applies  = target.meta.kind == "held"
  critical = true
  judge {
    interval     = "1h"
    max_duration = "24h"
    kpi "memory" {
      abort_above   = "3x"
      promote_below = "6x"
    }
  }
}
`

// oakum is a cluster of servers with the identities of its callers.
type oakum struct {
	*daemon.Cluster
	t        *testing.T
	vendor   *nomadapi.Client
	pipeline string
	alice    string
	eve      string
}

// portBlock gives each cluster of this run ports of its own.
var portBlock = struct {
	sync.Mutex
	next int
}{}

// startServers runs servers on ports of their own until the test ends.
func startServers(t *testing.T, env stack.Env, options daemon.Options) *daemon.Cluster {
	t.Helper()
	portBlock.Lock()
	portBlock.next += 5
	options.Host = daemon.Loopback(running.Offset() + portBlock.next)
	portBlock.Unlock()
	options.Binary, options.Dir = filepath.Join(root(t), "bin", "oakum"), t.TempDir()
	cluster, err := daemon.Start(t.Context(), env, options)
	must.NoError(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, s := range cluster.Servers {
				t.Logf("the log of %s ends:\n%s", s.Name, s.Tail(60))
			}
		}
		must.NoError(t, cluster.Stop())
	})
	return cluster
}

// newOakum starts servers beside the shared stack and applies policies.
func newOakum(t *testing.T, servers int, extra string, policyTexts ...string) *oakum {
	t.Helper()
	return newOakumBeside(t, sharedStack(t), servers, extra, policyTexts...)
}

// newOakumBeside is newOakum with Nomad, or anything else, where env says.
func newOakumBeside(t *testing.T, env stack.Env, servers int, extra string, policyTexts ...string) *oakum {
	t.Helper()
	return newOakumWith(t, env, daemon.Options{Servers: servers, Paces: daemon.StackPaces(), Extra: extra}, policyTexts...)
}

// newOakumWith is newOakumBeside with servers of one's own options.
func newOakumWith(t *testing.T, env stack.Env, options daemon.Options, policyTexts ...string) *oakum {
	t.Helper()
	o := &oakum{Cluster: startServers(t, env, options), t: t}
	var err error
	o.vendor, err = nomadapi.NewClient(&nomadapi.Config{Address: sharedStack(t).NomadAddr, SecretID: env.NomadToken})
	must.NoError(t, err)
	o.pipeline, err = daemon.PipelineToken(t.Context(), env)
	must.NoError(t, err)
	o.alice, err = daemon.UserToken(t.Context(), env, "alice", env.AlicePasswordFile)
	must.NoError(t, err)
	o.eve, err = daemon.UserToken(t.Context(), env, "eve", env.EvePasswordFile)
	must.NoError(t, err)
	for i, text := range append([]string{sleeperPolicy}, policyTexts...) {
		o.does(o.pipeline, "policy", "apply", o.file(fmt.Sprintf("policy-%d.hcl", i), text))
	}
	o.untilNomadAnswers()
	return o
}

// untilNomadAnswers waits for the daemon's first Nomad token.
func (o *oakum) untilNomadAnswers() {
	o.t.Helper()
	eventually(o.t, "oakum sees nomad", time.Minute, func() bool {
		res := o.Oakum(o.t.Context(), o.pipeline, "patch", "plan", o.patchFile("probe", "no-such-job", `VERSION = "x"`))
		return strings.Contains(res.Stdout+res.Stderr, "no-such-job") && !strings.Contains(res.Stderr, "nomad:")
	})
}

// does runs a command that has to succeed. One that met no leader did nothing
// and is given again: on a busy machine a leader can lose its place at any time.
func (o *oakum) does(token string, args ...string) daemon.Result {
	o.t.Helper()
	var res daemon.Result
	eventuallySay(o.t, wait.Patience, func() bool {
		res = o.Oakum(o.t.Context(), token, args...)
		return !strings.Contains(res.Stderr, "has no leader now") && !strings.Contains(res.Stderr, "leadership is changing")
	}, func() string { return fmt.Sprint("a leader: ", res.Stderr) })
	must.Eq(o.t, 0, res.Code, must.Sprint(res.Stdout, res.Stderr))
	return res
}

func (o *oakum) file(name, text string) string {
	o.t.Helper()
	path := filepath.Join(o.t.TempDir(), name)
	must.NoError(o.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// patchFile writes a patch that sets environment variables of task main.
func (o *oakum) patchFile(name, job, env string) string {
	return o.patchOf(name, job, setEnv("main", env))
}

// patchOf writes a patch of one job with the apply blocks given.
func (o *oakum) patchOf(name, job, applies string) string {
	o.t.Helper()
	return o.file(name+".hcl", fmt.Sprintf(`patch %q {
  severity = "medium"
  target {
    namespace = "default"
    jobs      = [%q]
  }
%s}
`, name, job, applies))
}

// setEnv is the apply block that sets environment variables of a task.
func setEnv(task, env string) string {
	return fmt.Sprintf("  apply \"job\" {\n    task = %q\n    env  = { %s }\n  }\n", task, env)
}

// submit submits a patch file as the pipeline and returns its only rollout.
func (o *oakum) submit(path string) string {
	o.t.Helper()
	res := o.does(o.pipeline, "patch", "submit", "-json", path)
	var receipt api.PatchReceipt
	must.NoError(o.t, json.Unmarshal([]byte(res.Stdout), &receipt))
	must.Len(o.t, 1, receipt.Rollouts)
	return receipt.Rollouts[0]
}

// rollout reads a rollout; ok is false between two leaders.
func (o *oakum) rollout(id string) (r api.Rollout, ok bool) {
	o.t.Helper()
	cl, err := o.Client(o.pipeline)
	must.NoError(o.t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(o.t.Context()), 10*time.Second)
	defer cancel()
	r, _, err = cl.Rollout(ctx, id, client.Query{})
	must.False(o.t, api.IsCode(err, api.CodeUnauthenticated), must.Sprint(err))
	return r, err == nil
}

// standstill is how long a rollout may stay as it is before a test gives it up:
// longer than a pair of twins takes to boot on a machine with no time for them.
const standstill = 5 * time.Minute

// until waits for a state of a rollout, for as long as anything about it changes.
func (o *oakum) until(id string, ok func(api.Rollout) bool) api.Rollout {
	o.t.Helper()
	var last api.Rollout
	err := wait.Moving(context.WithoutCancel(o.t.Context()), standstill, func() (uint64, bool) {
		r, got := o.rollout(id)
		if got {
			last = r
		}
		return last.ModifyIndex, got && ok(r)
	})
	must.NoError(o.t, err, must.Sprintf("rollout %s is %s: %s %+v", id, last.Status, last.Reason, last.Effects))
	return last
}

func (o *oakum) ended(id string, want api.RolloutStatus) api.Rollout {
	o.t.Helper()
	r := o.until(id, func(r api.Rollout) bool { return r.Status.Ended() })
	must.Eq(o.t, want, r.Status, must.Sprint(r.Reason))
	return r
}

// promote speaks for the judge once a stage is ready, and waits until that has
// been heard. It is refused while an instance is not well: then it asks again.
func (o *oakum) promote(id string, stage int) {
	o.t.Helper()
	o.until(id, func(r api.Rollout) bool {
		switch {
		case r.Status.Ended() || len(r.Stages) > stage:
			return true
		case len(r.Stages) < stage || r.Stages[stage-1].Ready.IsZero():
			return false
		case !r.Stages[stage-1].Judged.IsZero():
			return true
		}
		o.Oakum(o.t.Context(), o.alice, "rollout", "promote", id)
		return false
	})
}

// job registers a job of cheap instances in Nomad and waits until they run.
func (o *oakum) job(id string, count int, critical bool) {
	o.t.Helper()
	o.jobOf("sleeper", id, count, critical)
}

// jobOf is job with another kind than that of sleeperPolicy. Its own pace is no limit.
func (o *oakum) jobOf(kind, id string, count int, critical bool) {
	o.t.Helper()
	o.pacedJob(kind, id, count, count, critical)
}

// pacedJob is jobOf with a max_parallel.
func (o *oakum) pacedJob(kind, id string, count, parallel int, critical bool) {
	o.t.Helper()
	meta := "no"
	if critical {
		meta = "yes"
	}
	job, err := o.vendor.Jobs().ParseHCL(fmt.Sprintf(`job %q {
  group "g" {
    count = %d
    meta {
      kind     = %q
      critical = %q
    }
    update {
      max_parallel     = %d
      min_healthy_time = "1s"
      auto_revert      = true
    }
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      delay          = "10m" // longer than a rollback takes, whoever is killed on the way
      delay_function = "constant"
      unlimited      = true
    }
    ephemeral_disk {
      size = 10
    }
    task "main" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", "test \"$VERSION\" != crash || exit 1; exec sleep 100000"]
      }
      env {
        VERSION = "v1"
      }
      logs {
        disabled      = true
        max_files     = 1
        max_file_size = 1
      }
      resources {
        cpu    = 10
        memory = 10
      }
    }
  }
}`, id, count, kind, meta, parallel), true)
	must.NoError(o.t, err)
	_, _, err = o.vendor.Jobs().Register(job, nil)
	must.NoError(o.t, err)
	endJob(o.t, o.vendor, id)
	eventually(o.t, "the instances of "+id+" run", 2*time.Minute, func() bool { return o.count(id, "v1") == count })
	eventually(o.t, "the first deployment of "+id+" is over", 2*time.Minute, func() bool {
		d, _, err := o.vendor.Jobs().LatestDeployment(id, nil)
		return err == nil && d != nil && d.Status == "successful"
	})
}

// versions maps each running allocation of a job to the VERSION that Nomad
// started it with.
func (o *oakum) versions(id string) map[string]string {
	o.t.Helper()
	stubs, _, err := o.vendor.Jobs().Allocations(id, false, nil)
	must.NoError(o.t, err)
	found := map[string]string{}
	for _, s := range stubs {
		if s.DesiredStatus != "run" || s.ClientStatus != "running" {
			continue
		}
		alloc, _, err := o.vendor.Allocations().Info(s.ID, nil)
		must.NoError(o.t, err)
		found[s.ID] = alloc.Job.TaskGroups[0].Tasks[0].Env["VERSION"]
	}
	return found
}

func (o *oakum) count(id, version string) int {
	n := 0
	for _, v := range o.versions(id) {
		if v == version {
			n++
		}
	}
	return n
}

func (o *oakum) spec(id string) string {
	o.t.Helper()
	job, _, err := o.vendor.Jobs().Info(id, nil)
	must.NoError(o.t, err)
	return specification(o.t, job)
}

// registrations counts the versions that Nomad's history of a job holds.
func (o *oakum) registrations(id string) int {
	o.t.Helper()
	job, _, err := o.vendor.Jobs().Info(id, nil)
	must.NoError(o.t, err)
	return int(*job.Version) + 1
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := stack.RepositoryRoot()
	must.NoError(t, err)
	return dir
}

// states reads how far each server is; those that do not answer are left out.
func (o *oakum) states() []api.StateInfo {
	o.t.Helper()
	var out []api.StateInfo
	for _, s := range o.Servers {
		cl, err := client.New(client.Config{Address: s.HTTP, Token: o.alice})
		must.NoError(o.t, err)
		info, err := cl.State(o.t.Context())
		cl.Close()
		if err == nil {
			out = append(out, info)
		}
	}
	return out
}
