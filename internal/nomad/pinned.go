package nomad

import (
	"path"
	"strings"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
)

// pinned is the digest of what a task runs, where the job says it: the one in the name of
// a container image, or the checksum of the artifact that the disk image or the program
// comes from. Of an archive it is the archive's. A checksum that is no SHA-256 is no digest.
func pinned(task *nomadapi.Task) string {
	image := Image(task)
	if _, sum, found := strings.Cut(image, "@"); found && api.IsDigest(sum) {
		return sum
	}
	_, sum := Fetched(task)
	return sum
}

// Fetched is the artifact that the disk image or the program of a task comes from, with its
// digest. It is nil where there is none, or the job does not say its SHA-256.
func Fetched(task *nomadapi.Task) (artifact *nomadapi.TaskArtifact, digest string) {
	if len(task.Artifacts) != 1 {
		return nil, ""
	}
	artifact = task.Artifacts[0]
	digest = strings.ToLower(artifact.GetterOptions["checksum"])
	if !api.IsDigest(digest) || !runsFrom(task, artifact) {
		return nil, ""
	}
	return artifact, digest
}

// runsFrom reports whether a task runs what an artifact brings, and does not only read it.
func runsFrom(task *nomadapi.Task, artifact *nomadapi.TaskArtifact) bool {
	text := func(key string) string {
		s, _ := task.Config[key].(string)
		return s
	}
	fetched := func(file string) bool {
		for _, dir := range []string{"local/", "./local/", "${NOMAD_TASK_DIR}/"} {
			if strings.HasPrefix(file, dir) {
				return true
			}
		}
		return false
	}
	switch task.Driver {
	case "qemu":
		source := ""
		if artifact.GetterSource != nil {
			source, _, _ = strings.Cut(*artifact.GetterSource, "?")
		}
		return fetched(text("image_path")) && path.Base(source) == path.Base(text("image_path"))
	case "exec", "raw_exec", "java":
		return fetched(text("command")) || fetched(text("jar_path"))
	}
	return false
}
