package nomad

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// digest is the hex SHA-256 of what a job runs: its specification without the
// fields that Nomad sets, without the update blocks, which change the pace of a
// deployment and nothing that runs, and without the counts, which an autoscaler
// changes. The job must come from JSON, so that numbers in the configuration of
// drivers have the same Go type wherever it comes from.
func digest(job *nomadapi.Job) (string, error) {
	bare := bareView(job)
	for i, g := range bare.TaskGroups {
		uncounted := *g
		uncounted.Count = nil
		bare.TaskGroups[i] = &uncounted
	}
	return countedDigest(bare)
}

// countedDigest is a digest that the counts are part of. It is in the record for servers of
// a former version, which know the former build by it: another digest would keep a rollback
// from its end after one of them became the leader.
func countedDigest(job *nomadapi.Job) (string, error) {
	bare := bareView(job)
	bare.Update = nil
	for i, g := range bare.TaskGroups {
		paceless := *g
		paceless.Update = nil
		bare.TaskGroups[i] = &paceless
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

// bareView is the specification without server-side fields. The list of groups is
// its own; the groups, and all else, are those of the job.
func bareView(job *nomadapi.Job) *nomadapi.Job {
	out := *job
	out.Stop, out.Status, out.StatusDescription, out.Stable = nil, nil, nil, nil
	out.Version, out.SubmitTime, out.VersionTag, out.NomadTokenID = nil, nil, nil, nil
	out.CreateIndex, out.ModifyIndex, out.JobModifyIndex = nil, nil, nil
	out.TaskGroups = slices.Clone(job.TaskGroups)
	return &out
}

// copyJob copies a job through Nomad's own JSON.
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

// Patched returns the former job with the patch applied to one group. The result
// shares nothing with the former job.
func Patched(former *nomadapi.Job, group string, changes []api.Apply) (*nomadapi.Job, error) {
	job := bareView(former)
	at := slices.IndexFunc(job.TaskGroups, func(g *nomadapi.TaskGroup) bool { return *g.Name == group })
	if at < 0 {
		return nil, api.Errorf(api.CodeNotFound, "job %s has no group %q", *job.ID, group)
	}
	g := *job.TaskGroups[at]
	g.Tasks = slices.Clone(g.Tasks)
	job.TaskGroups[at] = &g
	for i, change := range changes {
		if err := applyTo(&g, change); err != nil {
			return nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("apply[%d]: %v", i, err)}
		}
	}
	// Through JSON, so that it is a copy, and the patch's own values get Nomad's Go
	// types.
	return copyJob(job)
}

// applyTo puts a changed copy of a task into a group, whose list of tasks is its own.
func applyTo(group *nomadapi.TaskGroup, change api.Apply) error {
	at := slices.IndexFunc(group.Tasks, func(t *nomadapi.Task) bool { return t.Name == change.Task })
	if at < 0 {
		return fmt.Errorf("group %q has no task %q", *group.Name, change.Task)
	}
	task := *group.Tasks[at]
	group.Tasks[at] = &task
	if task.Config = maps.Clone(task.Config); task.Config == nil {
		task.Config = map[string]any{}
	}
	switch change.Kind {
	case api.ApplyImage:
		key := "image"
		if task.Driver == "qemu" {
			key = "image_path"
		}
		if change.Source != "" {
			if task.Driver != "qemu" {
				return fmt.Errorf("task %q: its driver is %s, and only the image of a virtual machine has a source", change.Task, task.Driver)
			}
			task.Artifacts = withImage(task.Artifacts, Image(&task), change)
		}
		task.Config[key] = change.Image
	case api.ApplyJob:
		maps.Copy(task.Config, change.Config)
		if task.Env = maps.Clone(task.Env); len(change.Env) > 0 && task.Env == nil {
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

// withImage returns the artifacts of a task that has Nomad fetch another image, by its
// checksum. What brought the former image goes.
func withImage(artifacts []*nomadapi.TaskArtifact, former string, change api.Apply) []*nomadapi.TaskArtifact {
	out := slices.DeleteFunc(slices.Clone(artifacts), func(a *nomadapi.TaskArtifact) bool {
		return brings(a, former) || brings(a, change.Image)
	})
	image := &nomadapi.TaskArtifact{
		GetterSource: new(change.Source), GetterMode: new("file"), RelativeDest: new(change.Image),
		GetterOptions: map[string]string{"checksum": "sha256:" + change.Digest, "archive": "false"},
	}
	image.Canonicalize() // as Nomad has it afterwards
	return append(out, image)
}

// brings reports whether a file that an artifact fetches is a task's image: by its own
// path, or by its name in the folder that the artifact fills.
func brings(a *nomadapi.TaskArtifact, image string) bool {
	image = path.Clean(strings.Replace(image, "${NOMAD_TASK_DIR}", "local", 1))
	whole := *a
	whole.Canonicalize()
	at := path.Clean(strings.Replace(*whole.RelativeDest, "${NOMAD_TASK_DIR}", "local", 1))
	source, _, _ := strings.Cut(*whole.GetterSource, "?")
	return at == image || path.Join(at, path.Base(source)) == image
}
