package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

// proofTimeout is how long the command that proves a fix may take in an instance. One
// that takes longer says nothing about the patch.
const proofTimeout = 2 * time.Minute

// Terminal runs commands in instances.
type Terminal interface {
	// Exec returns the end of a command's output and its status. An error means that
	// nothing is known of the command.
	Exec(ctx context.Context, namespace, instance, task string, command []string) (output string, status int, err error)
}

// reachable reports whether a command can be run in the tasks of a driver. Into a
// virtual machine no way leads from outside.
func reachable(driver string) bool {
	return slices.Contains([]string{"docker", "podman", "exec", "exec2", "raw_exec", "java"}, driver)
}

// prove asks the first patched instance whether the patch fixes what it says, before its
// stage is judged. It reports whether the stage may go on.
func (o *Orchestrator) prove(ctx context.Context, r api.Rollout, a *execution, obs *rollout.Observation) bool {
	if o.Terminal == nil || !rollout.Proving(r, *obs.Job) {
		return true
	}
	if q := a.proof; q != nil && q.over() && q.found.wrong == "" {
		return true // a fix that was proved stays so
	}
	in := slices.IndexFunc(obs.Job.Instances, func(in api.Instance) bool { return in.Build == api.BuildPatched && in.Health == api.Healthy })
	instance := obs.Job.Instances[in]
	a.proof = o.inquire(ctx, a.proof, 1, proofTimeout, func(ctx context.Context) answer { return o.proof(ctx, r, instance) })
	found, proved := a.proof.known()
	switch {
	case proved:
		return true
	case found.fault:
		obs.Disproved = found.wrong
	case found.wrong != "":
		obs.Away = append(obs.Away, api.Hold{Source: "verify", Reason: found.wrong})
	default:
		obs.Unproved = true
	}
	return false
}

// proof runs the commands that prove the fix in an instance.
func (o *Orchestrator) proof(ctx context.Context, r api.Rollout, in api.Instance) answer {
	target, err := o.Reader.Target(ctx, r.Target)
	if err != nil {
		return answer{wrong: "it is not known whether the fix is there: " + api.AsError(err).Message}
	}
	for _, change := range r.Apply {
		v := change.Verify
		at := slices.IndexFunc(target.Tasks, func(t api.Task) bool { return t.Name == change.Task })
		if v == nil || at < 0 || !reachable(target.Tasks[at].Driver) {
			continue
		}
		output, status, err := o.Terminal.Exec(ctx, r.Target.Namespace, in.ID, change.Task, []string{"/bin/sh", "-c", v.Command})
		switch {
		case err != nil:
			return answer{wrong: fmt.Sprintf("it is not known whether the fix is there in %s: %s", in.Name, api.AsError(err).Message)}
		case status == 126 || status == 127: // the shell's own: it could not run the command
			return answer{wrong: fmt.Sprintf("it is not known whether the fix is there in %s: %q can't be run there (status %d)", in.Name, v.Command, status)}
		case status != 0:
			return disproved(v, in, fmt.Sprintf("ended with status %d", status), output)
		case !strings.Contains(output, v.Expect):
			return disproved(v, in, fmt.Sprintf("did not say %q", v.Expect), output)
		}
	}
	return answer{}
}

// disproved is the answer of an instance in which the fix is not.
func disproved(v *api.Verify, in api.Instance, how, output string) answer {
	text := fmt.Sprintf("the patch does not fix what it says: %q %s in %s", v.Command, how, in.Name)
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if last := lines[len(lines)-1]; last != "" {
		text += ": " + last
	}
	return answer{wrong: text, fault: true}
}
