package sandbox

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestReadSpec_ReadsWhatTheTaskRuns(t *testing.T) {
	t.Parallel()
	target := api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}
	asked := twin.ReadSpec{Job: "oakum-twin-inventory-1-read", Target: target, Task: "vm", RPMFormat: `%{NAME}\n`}

	job := production()
	vm := machineOf(job)
	spec := readSpec(asked, vm, "n1")
	must.Eq(t, twin.BakeSpec{Job: asked.Job, Target: target, Task: "vm", Node: "n1", Image: "/images/store-1.0.qcow2", RPMFormat: asked.RPMFormat, Hash: true}, spec)
	made, err := bakeJob(job, spec, testAppliance(), vm, []string{"/images"})
	must.NoError(t, err)
	must.Eq(t, map[string]string{"packages": "", "databases": `%{NAME}\n`}, patchFiles(t, made), must.Sprint("nothing of the image is run"))
	task := made.TaskGroups[0].Tasks[0]
	must.EqOp(t, "yes", task.Env["OAKUM_HASH"])
	must.EqOp(t, "", task.Env["OAKUM_RESULT"])
	fetchAlike(made, vm)
	must.Len(t, 1, task.Artifacts, must.Sprint("the kernel alone is fetched"))

	t.Log("an image that Nomad fetches is fetched alike")
	vm.SetConfig("image_path", "local/store.qcow2")
	vm.Artifacts = []*nomadapi.TaskArtifact{{
		GetterSource: new("https://files.example/store.qcow2"), GetterHeaders: map[string]string{"Authorization": "Bearer a"},
		GetterOptions: map[string]string{"checksum": checksum, "archive": "true", "depth": "1"},
	}}
	spec = readSpec(asked, vm, "n1")
	must.False(t, spec.Hash)
	must.EqOp(t, checksum, "sha256:"+spec.Digest)
	made, err = bakeJob(job, spec, testAppliance(), vm, nil)
	must.NoError(t, err)
	fetchAlike(made, vm)
	fetched := made.TaskGroups[0].Tasks[0].Artifacts[0]
	must.EqOp(t, "local/store.qcow2", *fetched.RelativeDest)
	must.Eq(t, map[string]string{"Authorization": "Bearer a"}, fetched.GetterHeaders)
	must.Eq(t, map[string]string{"checksum": checksum, "archive": "false", "depth": "1"}, fetched.GetterOptions)
}

func TestBakeEnd_TellsTheDigestOfAnImageThatWasRead(t *testing.T) {
	t.Parallel()
	report := "oakum 1\nroot /dev/vda ext4\nproved\nend\n"
	for name, c := range map[string]struct {
		report string
		hash   bool
		ok     bool
	}{
		"with its digest":     {report + "image " + checksum[7:] + "\n", true, true},
		"without":             {report, true, false},
		"that nobody asked":   {report + "image " + checksum[7:] + "\n", false, false},
		"that is looked into": {report, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := bakeEnd{spec: twin.BakeSpec{Hash: c.hash}, report: c.report}
			image, err := end.image()
			must.Eq(t, c.ok, err == nil, must.Sprint(err))
			must.Eq(t, c.ok && c.hash, image.Digest != "")
		})
	}
}

func TestBakeJob_BringsTheReaderWhereDatabasesAreRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source, format string
		want           string
		fetched        int
	}{
		"fetched":               {"https://files.example/oakum", "%{NAME}", "${NOMAD_TASK_DIR}/appliance/oakum", 2},
		"of the node":           {"/opt/oakum/oakum", "%{NAME}", "/opt/oakum/oakum", 1},
		"none":                  {"", "%{NAME}", "", 1},
		"where nothing is read": {"/opt/oakum/oakum", "", "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := testAppliance()
			if c.source != "" {
				a.Reader = appliance.File{Source: c.source, Checksum: checksum}
			}
			job, err := bakeJob(production(), twin.BakeSpec{
				Job: "j", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Node: "n1", Image: "/images/a.qcow2", RPMFormat: c.format,
			}, a, machineOf(production()), nil)
			must.NoError(t, err)
			task := job.TaskGroups[0].Tasks[0]
			must.EqOp(t, c.want, task.Env["OAKUM_READER"])
			must.Len(t, c.fetched, task.Artifacts)
		})
	}
}
