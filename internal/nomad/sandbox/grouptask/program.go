package grouptask

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// Program is the name of the task that runs the operator's load program.
	Program = "oakum-program"
	// programMemory is the memory of a load program in MB, where the policy says nothing.
	programMemory = 256
	// targetVariable names the URL of the twin for a load program.
	targetVariable = "OAKUM_TARGET"
	// targetPort is the label of the port at which the program finds the twin.
	targetPort = "oakum_target"
)

// programScript runs a load program once the relay says so, and again whenever it has
// ended well. The exit code of one that has failed is kept for the relay: a task that
// fails would take the twin with it. Nomad would read a brace after a dollar sign as an
// expression of its own.
const programScript = `until [ -e "$NOMAD_TASK_DIR/` + twin.StartedFile + `" ]; do sleep 1; done
while :; do
  "$@"
  code=$?
  [ $code -eq 0 ] || break
  sleep 1
done
echo $code >"$NOMAD_TASK_DIR/` + twin.EndedFile + `"
`

// TargetPort is the port at which a load program finds its twin.
func TargetPort() nomadapi.Port { return nomadapi.Port{Label: targetPort} }

// relayArgs have a load forward what the load program sends.
func relayArgs() []string {
	return []string{"-relay=127.0.0.1:${NOMAD_PORT_" + targetPort + "}", "-folder=${NOMAD_ALLOC_DIR}/../" + Program + "/local"}
}

// NewProgram is the task of a load program, in a container or in a chroot. It shares the
// network namespace of the twin.
func NewProgram(p api.LoadProgram) *nomadapi.Task {
	target := "http://127.0.0.1:${NOMAD_PORT_" + targetPort + "}"
	words := []string{"-c", programScript, Program, p.Command}
	for _, a := range p.Args {
		words = append(words, strings.ReplaceAll(a, "$"+targetVariable, target))
	}
	env := maps.Clone(p.Env)
	if env == nil {
		env = map[string]string{}
	}
	env[targetVariable] = target
	task := &nomadapi.Task{
		Name: Program, Driver: "exec", Env: env, KillTimeout: new(time.Second),
		// It ends before the twin when it fails, so it is no sidecar.
		Lifecycle: &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPoststart},
		Config:    map[string]any{"command": "/bin/sh", "args": words},
		Resources: &nomadapi.Resources{CPU: new(200), MemoryMB: new(cmp.Or(p.Memory, programMemory))},
		LogConfig: &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(2)},
	}
	if p.Image != "" {
		task.Driver = "docker"
		// The image's own entrypoint would come before the shell.
		task.Config = map[string]any{"image": p.Image, "force_pull": false, "entrypoint": []string{"/bin/sh"}, "args": slices.Clone(words)}
	}
	return task
}
