package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestDigestJob_RunsOnOneNode(t *testing.T) {
	job := digestJob(production(), "vm", "n1", "r1", api.Apply{Image: "/images/store 2.qcow2"})
	must.StrHasPrefix(t, twin.Prefix, *job.ID)
	must.EqOp(t, "batch", *job.Type)
	must.EqOp(t, "n1", job.Constraints[0].RTarget)
	task := job.TaskGroups[0].Tasks[0]
	must.EqOp(t, "raw_exec", task.Driver)
	must.Eq(t, []string{"-c", digestScript, "oakum", "/images/store 2.qcow2", "${NOMAD_ALLOC_DIR}/data/oakum-digest"}, task.Config["args"].([]string))
	must.StrNotContains(t, digestScript, "${", must.Sprint("Nomad interpolates that"))
}

// TestDigestJob_FetchesWhatHasASource: the node has it in the job's own folder, and no
// other.
func TestDigestJob_FetchesWhatHasASource(t *testing.T) {
	like := production()
	group := like.TaskGroups[0]
	group.EphemeralDisk = &nomadapi.EphemeralDisk{SizeMB: new(4000)}
	sum := strings.Repeat("0a", 32)
	change := api.Apply{Image: "local/store-2.qcow2", Source: "s3::https://s3.example/images/store-2.qcow2", Digest: sum}
	job := digestJob(like, *group.Name, "n1", "r1", change)
	task := job.TaskGroups[0].Tasks[0]
	must.Eq(t, []string{"-c", digestScript, "oakum", "local/store-2.qcow2", "${NOMAD_ALLOC_DIR}/data/oakum-digest"}, task.Config["args"].([]string))
	must.Len(t, 1, task.Artifacts)
	must.EqOp(t, change.Source, *task.Artifacts[0].GetterSource)
	must.EqOp(t, "local/store-2.qcow2", *task.Artifacts[0].RelativeDest)
	must.Eq(t, map[string]string{"checksum": "sha256:" + sum, "archive": "false"}, task.Artifacts[0].GetterOptions)
	must.EqOp(t, 4000, *job.TaskGroups[0].EphemeralDisk.SizeMB)
}

// TestDigestScript_TellsWhatIsThere runs the script as a node does.
func TestDigestScript_TellsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "an image")
	must.NoError(t, os.WriteFile(image, []byte("disk"), 0o600))
	sum := sha256.Sum256([]byte("disk"))
	for path, want := range map[string]string{image: hex.EncodeToString(sum[:]), filepath.Join(dir, "none"): ""} {
		out := filepath.Join(dir, "out")
		said, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", digestScript, "oakum", path, out).CombinedOutput()
		must.NoError(t, err, must.Sprint(string(said)))
		text, err := os.ReadFile(out)
		must.NoError(t, err)
		got, err := parseDigest(string(text))
		must.NoError(t, err)
		must.EqOp(t, want, got)
	}
}

func TestParseDigest_TakesNothingElseForADigest(t *testing.T) {
	for _, text := range []string{"", "abc", "file not found", strings.Repeat("g", 64), strings.Repeat("a", 63)} {
		_, err := parseDigest(text)
		must.Error(t, err, must.Sprint(text))
	}
}

func TestImageDigests_RefusesWhatNoNodeFinds(t *testing.T) {
	for _, image := range []string{"", "images/a.qcow2", "/images/${NOMAD_JOB_NAME}.qcow2"} {
		_, err := (&Sandbox{}).ImageDigests(t.Context(), api.TargetRef{}, api.Apply{Image: image})
		must.True(t, api.IsCode(err, api.CodeInvalid))
	}
}

func TestReadable_IsWhatANodeFinds(t *testing.T) {
	for image, want := range map[string]bool{
		"/images/web.qcow2": true, "${meta.images}/web.qcow2": true, "/srv/${node.class}/${attr.cpu.arch}.qcow2": true,
		"local/web.qcow2": false, "${NOMAD_ALLOC_DIR}/web.qcow2": false, "/images/${IMAGE}": false, "/images/$(id)": false, "": false,
	} {
		must.EqOp(t, want, readable(image), must.Sprint(image))
	}
}
