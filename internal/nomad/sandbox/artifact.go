package sandbox

import (
	"context"
	_ "embed"
	"path"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// artifactScript is what tells on a client of what an artifact is made.
//
//go:embed artifact.sh
var artifactScript string

// fetchedFolder is where the artifact is put, in the folder of the task.
const fetchedFolder = "artifact"

// ReadArtifact reads of which packages of programming languages the artifact is made that a
// task of a target runs, on the node that runs it. Nomad fetches it once more, as for the
// task, and holds it to its checksum. Nothing of it runs. digest is the one that the job is
// known to say; a job that says another one by now is an error.
func (s *Sandbox) ReadArtifact(ctx context.Context, spec twin.ReadSpec, digest string) (twin.Image, error) {
	like, err := s.readJob(ctx, spec.Target)
	if err != nil {
		return twin.Image{}, err
	}
	alloc, err := s.runningTask(ctx, spec.Target, spec.Task)
	if err != nil {
		return twin.Image{}, err
	}
	job, err := artifactJob(like, spec, alloc, digest, s.options.Appliance.Reader)
	if err != nil {
		return twin.Image{}, err
	}
	return s.readOnNode(ctx, job, alloc)
}

// artifactJob fetches what a task runs beside it.
func artifactJob(like *nomadapi.Job, spec twin.ReadSpec, alloc *nomadapi.AllocationListStub, digest string, reader appliance.File) (*nomadapi.Job, error) {
	var from *nomadapi.TaskArtifact
	said := ""
	if group := like.LookupTaskGroup(spec.Target.Group); group != nil {
		for _, task := range group.Tasks {
			if task.Name == spec.Task {
				from, said = nomad.Fetched(task)
			}
		}
	}
	switch {
	case from == nil || said != digest:
		return nil, api.Errorf(api.CodeConflict, "task %s of %s runs no artifact with the checksum %s any more", spec.Task, spec.Target, digest)
	case from.GetterSource == nil || strings.Contains(*from.GetterSource, "${"):
		return nil, api.Errorf(api.CodeInvalid, "task %s of %s: the source of its artifact is another one in every allocation", spec.Task, spec.Target)
	}
	task := nomadapi.NewTask(bakeTask, "raw_exec")
	task.Env = map[string]string{}
	addFile(task, "OAKUM_READER", "oakum", reader)
	task.SetConfig("command", "/bin/sh").SetConfig("args", []string{
		"${NOMAD_TASK_DIR}/artifact.sh", task.Env["OAKUM_READER"], reader.SHA256(), fetchedFolder, strings.TrimPrefix(digest, "sha256:"),
		"${NOMAD_ALLOC_DIR}/" + strings.TrimPrefix(containerReport, "alloc/"),
	})
	again := *from
	again.RelativeDest = new("local/" + fetchedFolder)
	if from.GetterMode != nil && *from.GetterMode == "file" {
		source, _, _ := strings.Cut(*from.GetterSource, "?")
		name := path.Base(source)
		if from.RelativeDest != nil && path.Base(*from.RelativeDest) != "." {
			name = path.Base(*from.RelativeDest) // by which its kind is known
		}
		again.RelativeDest = new("local/" + fetchedFolder + "/" + name)
	}
	task.Artifacts = append(task.Artifacts, &again)
	task.Templates = []*nomadapi.Template{template("local/artifact.sh", artifactScript), template("local/databases.sh", databasesScript)}
	task.Resources = &nomadapi.Resources{CPU: new(100), MemoryMB: new(512)}
	task.LogConfig = &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)}
	job := onceJob(like, spec.Job, alloc.NodeID, nomadapi.NodePoolAll, task)
	disk := 256
	if d := like.LookupTaskGroup(spec.Target.Group).EphemeralDisk; d != nil && d.SizeMB != nil {
		disk += *d.SizeMB // which has room for the artifact
	}
	job.TaskGroups[0].EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(disk)}
	return job, nil
}
