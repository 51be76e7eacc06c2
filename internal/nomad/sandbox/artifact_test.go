package sandbox

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/twin"
)

// program is a job whose task runs what an artifact brings.
func program(driver string, config map[string]any, from nomadapi.TaskArtifact) *nomadapi.Job {
	job := production()
	task := nomadapi.NewTask("app", driver)
	task.Config, task.Artifacts = config, []*nomadapi.TaskArtifact{&from}
	job.TaskGroups[0].Tasks = append(job.TaskGroups[0].Tasks, task)
	return job
}

func TestArtifactJob_FetchesWhatTheTaskRuns(t *testing.T) {
	t.Parallel()
	like := production()
	spec := twin.ReadSpec{Job: "oakum-twin-inventory-1-read", Target: api.TargetRef{Namespace: "prod", Job: *like.ID, Group: *like.TaskGroups[0].Name}, Task: "app"}
	sum := "sha256:" + strings.Repeat("0a", 32)
	alloc := &nomadapi.AllocationListStub{ID: "a1", NodeID: "n1"}
	here := appliance.File{Source: "/opt/oakum/oakum", Checksum: "sha256:" + strings.Repeat("1b", 32)}
	options := map[string]string{"checksum": sum}
	headers := map[string]string{"Authorization": "Bearer t"}
	for name, c := range map[string]struct {
		driver string
		config map[string]any
		from   nomadapi.TaskArtifact
		reader appliance.File
		dest   string // of the artifact
		wrong  string
	}{
		"a jar": {
			"java", map[string]any{"jar_path": "local/app.jar"},
			nomadapi.TaskArtifact{GetterSource: new("https://a/app.jar?v=1"), GetterOptions: options, GetterHeaders: headers}, here, "local/artifact", "",
		},
		"one file by another name": {
			"java", map[string]any{"jar_path": "local/app.jar"},
			nomadapi.TaskArtifact{GetterSource: new("https://a/download?v=1"), GetterMode: new("file"), RelativeDest: new("local/app.jar"), GetterOptions: options}, here, "local/artifact/app.jar", "",
		},
		"one file by its own name": {
			"exec", map[string]any{"command": "local/web"},
			nomadapi.TaskArtifact{GetterSource: new("https://a/web?v=1"), GetterMode: new("file"), GetterOptions: options}, here, "local/artifact/web", "",
		},
		"a reader that is fetched": {
			"raw_exec", map[string]any{"command": "local/web"},
			nomadapi.TaskArtifact{GetterSource: new("https://a/web.tar.gz"), GetterOptions: options}, appliance.File{Source: "https://a/oakum", Checksum: here.Checksum}, "local/artifact", "",
		},
		"a program of the node": {
			"exec", map[string]any{"command": "/bin/web"}, nomadapi.TaskArtifact{GetterSource: new("https://a/web"), GetterOptions: options}, here, "", "runs no artifact with the checksum",
		},
		"another checksum by now": {
			"exec", map[string]any{"command": "local/web"},
			nomadapi.TaskArtifact{GetterSource: new("https://a/web"), GetterOptions: map[string]string{"checksum": here.Checksum}}, here, "", "runs no artifact with the checksum",
		},
		"a variable": {
			"exec", map[string]any{"command": "local/web"},
			nomadapi.TaskArtifact{GetterSource: new("https://a/${NOMAD_META_web}"), GetterOptions: options}, here, "", "another one in every allocation",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			job, err := artifactJob(program(c.driver, c.config, c.from), spec, alloc, sum, c.reader)
			if c.wrong != "" {
				must.ErrorContains(t, err, c.wrong)
				return
			}
			must.NoError(t, err)
			must.EqOp(t, "n1", job.Constraints[0].RTarget)
			task := job.TaskGroups[0].Tasks[0]
			args, _ := task.Config["args"].([]string)
			must.Eq(t, []string{c.reader.SHA256(), "artifact", strings.Repeat("0a", 32)}, args[2:5])
			fetched := task.Artifacts[len(task.Artifacts)-1]
			must.EqOp(t, c.dest, *fetched.RelativeDest)
			must.EqOp(t, *c.from.GetterSource, *fetched.GetterSource)
			must.Eq(t, c.from.GetterHeaders, fetched.GetterHeaders)
			must.Eq(t, options, fetched.GetterOptions, must.Sprint("with the checksum, and unpacked as for the task"))
			if c.reader.Remote() {
				must.Len(t, 2, task.Artifacts)
				must.EqOp(t, "${NOMAD_TASK_DIR}/appliance/oakum", args[1])
			} else {
				must.EqOp(t, c.reader.Source, args[1])
			}
		})
	}
}

// TestArtifactScript_TellsNoPartForTheWhole runs the script with readers that fail, or are
// others than the configuration says.
func TestArtifactScript_TellsNoPartForTheWhole(t *testing.T) {
	t.Parallel()
	const reader = "#!/bin/sh\nprintf 'manifests\\npackage\\tpkg:npm/lodash@4.17.20\\nwhole\\tnpm\\n'; cat $3/app >/dev/null"
	for name, c := range map[string]struct {
		reader string
		sum    string // other than its own
		want   string // packages; empty when it must fail
		said   string
	}{
		"all of it":        {reader: reader, want: "npm lodash 4.17.20"},
		"the reader fails": {reader: reader + "; exit 1", said: "the artifact can't be read"},
		"another reader":   {reader: reader, sum: strings.Repeat("0", 64), said: "has the checksum"},
		"without end":      {reader: "#!/bin/sh\nexec yes", said: "the artifact can't be read"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScripted(t, "artifact.sh", artifactScript)
			s.put("oakum", c.reader)
			s.put("artifact/app", "x")
			// Not every machine lets a test make a namespace.
			s.put("bin/unshare", "#!/bin/sh\nshift\nexec \"$@\"\n")
			s.put("bin/setpriv", "#!/bin/sh\nwhile [ \"${1#--}\" != \"$1\" ]; do case $1 in --re?id) shift ;; esac; shift; done\nexec \"$@\"\n")
			own := sha256.Sum256([]byte(c.reader))
			sum := cmp.Or(c.sum, hex.EncodeToString(own[:]))
			report := s.path("report")
			said, err := s.run(nil, "artifact.sh", s.path("oakum"), sum, "artifact", strings.Repeat("0a", 32), report)
			if c.want == "" {
				must.Error(t, err)
				must.StrContains(t, said, c.said)
				must.FileNotExists(t, report)
				return
			}
			must.NoError(t, err, must.Sprint(said))
			r, inv := s.reported(report)
			must.EqOp(t, strings.Repeat("0a", 32), r.Digest)
			must.Len(t, 1, inv.Packages)
			p := inv.Packages[0]
			must.EqOp(t, c.want, p.Ecosystem+" "+p.Name+" "+p.Version)
		})
	}
}
