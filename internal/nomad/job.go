package nomad

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// digest is the hex SHA-256 of what a job runs: its specification without the
// fields that Nomad sets, and without the update blocks, which change the pace of
// a deployment and nothing that runs.
func digest(job *nomadapi.Job) (string, error) {
	bare, err := bareCopy(job)
	if err != nil {
		return "", err
	}
	bare.Update = nil
	for _, g := range bare.TaskGroups {
		g.Update = nil
	}
	text, err := json.Marshal(bare)
	if err != nil {
		return "", fmt.Errorf("encode job: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// equal reports whether two jobs have the same digest.
func equal(a, b *nomadapi.Job) (bool, error) {
	x, err := digest(a)
	if err != nil {
		return false, err
	}
	y, err := digest(b)
	return x == y, err
}

// bareCopy is a deep copy of the specification without server-side fields.
func bareCopy(job *nomadapi.Job) (*nomadapi.Job, error) {
	out, err := copyJob(job)
	if err != nil {
		return nil, err
	}
	out.Stop, out.Status, out.StatusDescription, out.Stable = nil, nil, nil, nil
	out.Version, out.SubmitTime, out.VersionTag, out.NomadTokenID = nil, nil, nil, nil
	out.CreateIndex, out.ModifyIndex, out.JobModifyIndex = nil, nil, nil
	return out, nil
}

// copyJob copies a job through Nomad's own JSON, so that numbers in the
// configuration of drivers have the same Go type wherever a job comes from.
func copyJob(job *nomadapi.Job) (*nomadapi.Job, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return nil, fmt.Errorf("encode job: %w", err)
	}
	return decodeJob(text)
}

func decodeJob(text []byte) (*nomadapi.Job, error) {
	var out nomadapi.Job
	if err := json.Unmarshal(text, &out); err != nil {
		return nil, fmt.Errorf("decode job: %w", err)
	}
	return &out, nil
}

// Patched returns the former job with the patch applied to one group.
func Patched(former *nomadapi.Job, group string, changes []api.Apply) (*nomadapi.Job, error) {
	job, err := bareCopy(former)
	if err != nil {
		return nil, err
	}
	g := job.LookupTaskGroup(group)
	if g == nil {
		return nil, api.Errorf(api.CodeNotFound, "job %s has no group %q", *job.ID, group)
	}
	for i, change := range changes {
		if err := applyTo(g, change); err != nil {
			return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("apply[%d]: %v", i, err)}
		}
	}
	// Once more through JSON, so that the patch's own values get Nomad's Go
	// types.
	return copyJob(job)
}

// applyTo changes one task of a group.
func applyTo(group *nomadapi.TaskGroup, change api.Apply) error {
	task := lookupTask(group, change.Task)
	if task == nil {
		return fmt.Errorf("group %q has no task %q", *group.Name, change.Task)
	}
	if task.Config == nil {
		task.Config = map[string]any{}
	}
	switch change.Kind {
	case api.ApplyImage:
		key := "image"
		if task.Driver == "qemu" {
			key = "image_path"
		}
		task.Config[key] = change.Image
	case api.ApplyJob:
		maps.Copy(task.Config, change.Config)
		if len(change.Env) > 0 && task.Env == nil {
			task.Env = map[string]string{}
		}
		maps.Copy(task.Env, change.Env)
	case api.ApplyScript:
		return fmt.Errorf("task %q: a script must be baked into an image before it is rolled out", change.Task)
	default:
		return fmt.Errorf("unknown kind of change %q", change.Kind)
	}
	return nil
}

func lookupTask(group *nomadapi.TaskGroup, name string) *nomadapi.Task {
	for _, t := range group.Tasks {
		if t.Name == name {
			return t
		}
	}
	return nil
}
