package grouptask_test

import (
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestNewLoad_RunsTheProgramByItsChecksum(t *testing.T) {
	l := twin.Load{Rate: 40, Duration: time.Minute, Source: "/usr/local/bin/oakum", Checksum: "sha256:" + strings.Repeat("a", 64)}
	task, err := grouptask.NewLoad(l, grouptask.Check{Scheme: "http", Path: "/health", Port: "http"}, "report.ndjson")
	must.NoError(t, err)
	must.Eq(t, any("/bin/sh"), task.Config["command"])
	args := task.Config["args"].([]string)
	must.StrNotContains(t, args[1], "${") // Nomad reads it as an expression
	must.Eq(t, []string{"oakum-load", strings.Repeat("a", 64), "/usr/local/bin/oakum", "workload", "send"}, args[2:7])
	must.SliceContains(t, args, "-base=http://127.0.0.1:${NOMAD_PORT_http}")
	must.False(t, task.Lifecycle.Sidecar)
	must.StrContains(t, *task.Templates[0].EmbeddedTmpl, `"path":"/health"`)

	l.Source, l.Requests = "https://files.example/oakum", []byte(`{"path":"/a?b=<0<1"}`+"\n")
	task, err = grouptask.NewLoad(l, grouptask.Check{Scheme: "https", Path: "/", Port: "8443"}, "report.ndjson")
	must.NoError(t, err)
	must.Eq(t, any("local/oakum"), task.Config["command"])
	must.Eq(t, l.Checksum, task.Artifacts[0].GetterOptions["checksum"])
	must.SliceContains(t, task.Config["args"].([]string), "-base=https://127.0.0.1:8443")
	must.Eq(t, string(l.Requests), *task.Templates[0].EmbeddedTmpl)
	must.Eq(t, "<1<", *task.Templates[0].LeftDelim) // the text has the first one
}
