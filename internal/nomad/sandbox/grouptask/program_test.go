package grouptask_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/grouptask"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestNewProgram_RunsInAChrootOrAContainer(t *testing.T) {
	p := api.LoadProgram{Command: "wrk", Args: []string{"-d5s", "$OAKUM_TARGET/item/1"}, Env: map[string]string{"LEVEL": "info"}}
	task := grouptask.NewProgram(p)
	must.Eq(t, "exec", task.Driver)
	must.Eq(t, any("/bin/sh"), task.Config["command"])
	args := task.Config["args"].([]string)
	must.StrNotContains(t, args[1], "${") // Nomad reads it as an expression
	must.Eq(t, []string{"oakum-program", "wrk", "-d5s", "http://127.0.0.1:${NOMAD_PORT_oakum_target}/item/1"}, args[2:])
	must.Eq(t, map[string]string{"LEVEL": "info", "OAKUM_TARGET": "http://127.0.0.1:${NOMAD_PORT_oakum_target}"}, task.Env)
	must.MapLen(t, 1, p.Env)
	must.Eq(t, 256, *task.Resources.MemoryMB)

	p.Image, p.Memory = "wrk:1", 64
	task = grouptask.NewProgram(p)
	must.Eq(t, "docker", task.Driver)
	must.Eq(t, map[string]any{"image": "wrk:1", "force_pull": false, "entrypoint": []string{"/bin/sh"}, "args": args}, task.Config)
	must.Eq(t, 64, *task.Resources.MemoryMB)
}

func TestNewLoad_RelaysForALoadProgram(t *testing.T) {
	l := twin.Load{Rate: 40, Source: "/oakum", Checksum: "sha256:" + strings.Repeat("a", 64), Program: &api.LoadProgram{Command: "wrk"}}
	task, err := grouptask.NewLoad(l, grouptask.Check{Scheme: "http", Path: "/health", Port: "http"}, "report.ndjson")
	must.NoError(t, err)
	args := task.Config["args"].([]string)
	must.Eq(t, []string{"-relay=127.0.0.1:${NOMAD_PORT_oakum_target}", "-folder=${NOMAD_ALLOC_DIR}/../oakum-program/local"}, args[len(args)-2:])
	must.SliceEmpty(t, task.Templates)
}

// TestNewProgram_WaitsRunsAgainAndKeepsTheExitCode runs the task's script, as Nomad does,
// for a program that ends well twice and then fails.
func TestNewProgram_WaitsRunsAgainAndKeepsTheExitCode(t *testing.T) {
	folder := t.TempDir()
	runs := filepath.Join(folder, "runs")
	task := grouptask.NewProgram(api.LoadProgram{Command: "sh", Args: []string{"-c", `echo run >>"$1"; [ "$(wc -l <"$1")" -lt 3 ] || exit 7`, "sh", runs}})
	command := exec.CommandContext(t.Context(), "/bin/sh", task.Config["args"].([]string)...)
	command.Env = append(os.Environ(), "NOMAD_TASK_DIR="+folder)
	must.NoError(t, command.Start())
	must.NoError(t, os.WriteFile(filepath.Join(folder, twin.StartedFile), nil, 0o600))
	must.NoError(t, command.Wait()) // the task has not failed
	text, err := os.ReadFile(filepath.Join(folder, twin.EndedFile))
	must.NoError(t, err)
	must.Eq(t, "7\n", string(text))
	text, err = os.ReadFile(runs)
	must.NoError(t, err)
	must.Eq(t, "run\nrun\nrun\n", string(text))
}
