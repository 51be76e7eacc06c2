// Package grouptask makes the tasks beside the tasks of a twin that is no virtual machine:
// the load, which asks them, the operator's load program, if there is one, and the stubs,
// which answer them.
//
// It reads jobs and makes tasks. It contacts nothing.
package grouptask

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// Load is the name of the task that sends a workload to the twin of a group.
	Load = "oakum-load"
	// RequestsMax bounds a workload's file in bytes. It is in the job of each twin.
	RequestsMax = 256 << 10
)

// checkedScript runs a program of the node when it has a checksum. Arguments: hex
// SHA-256, program, its arguments. Nomad would read a brace after a dollar sign as an
// expression of its own.
const checkedScript = `set -eu
sum=$1
shift
got=$(sha256sum <"$1" | cut -c1-64)
[ "$got" = "$sum" ] || { echo "$1 has the SHA-256 $got, and simulator.load says $sum" >&2; exit 1; }
exec "$@"
`

// Check is how a group is asked whether it is healthy.
type Check struct {
	Scheme, Path string
	Port         string // a label of the group's, or a number
}

// NewLoad is the task that asks the twin of a group from inside of its network namespace.
// It keeps its report under this name in its own folder.
func NewLoad(l twin.Load, check Check, report string) (*nomadapi.Task, error) {
	port := check.Port
	if _, err := strconv.Atoi(port); err != nil {
		port = "${NOMAD_PORT_" + port + "}"
	}
	args := []string{
		"workload", "send", "-base=" + check.Scheme + "://127.0.0.1:" + port, "-health=" + check.Path,
		fmt.Sprintf("-rate=%g", l.Rate), fmt.Sprintf("-seed=%d", l.Seed), "-warm-up=" + l.WarmUp.String(), "-duration=" + l.Duration.String(),
		"-out=${NOMAD_TASK_DIR}/" + report,
	}
	var files []*nomadapi.Template
	if l.Program != nil {
		args = append(args, relayArgs()...)
	} else {
		requests, err := loadRequests(l, check)
		if err != nil {
			return nil, err
		}
		args = append(args, "${NOMAD_TASK_DIR}/workload.ndjson")
		files = []*nomadapi.Template{verbatim(requests, "local/workload.ndjson")}
	}
	task, err := helper(Load, l, args)
	if err != nil {
		return nil, err
	}
	// It ends before the twin, so it is no sidecar: Nomad would start it again.
	task.Lifecycle = &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPoststart}
	task.Templates = files
	return task, nil
}

// helper is a task that runs oakum beside the tasks of a group. The caller says whether it
// restarts.
func helper(name string, l twin.Load, args []string) (*nomadapi.Task, error) {
	sum, ok := strings.CutPrefix(l.Checksum, "sha256:")
	if !ok || !isSHA256(sum) || l.Source == "" {
		return nil, api.Errorf(api.CodeInvalid, "simulator.load says not where the nodes find oakum (source, and checksum as sha256:...)")
	}
	task := &nomadapi.Task{
		Name: name,
		// It shares the network namespace of the group, and needs nothing of a chroot.
		// It runs as the client does: no other user may enter Nomad's data directory.
		Driver:     "raw_exec",
		KillSignal: "SIGTERM", KillTimeout: new(time.Second),
		Resources: &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)},
		LogConfig: &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	}
	if strings.HasPrefix(l.Source, "/") {
		task.Config = map[string]any{"command": "/bin/sh", "args": append([]string{"-c", checkedScript, name, sum, l.Source}, args...)}
		return task, nil
	}
	task.Artifacts = []*nomadapi.TaskArtifact{{
		GetterSource: new(l.Source), GetterOptions: map[string]string{"checksum": l.Checksum, "archive": "false"},
		GetterMode: new("file"), RelativeDest: new("local/oakum"),
	}}
	task.Config = map[string]any{"command": "local/oakum", "args": args}
	return task, nil
}

// isSHA256 reports whether a text is a SHA-256 as sha256sum writes it.
func isSHA256(text string) bool {
	return len(text) == 2*sha256.Size && strings.Trim(text, "0123456789abcdef") == ""
}

// loadRequests is the file of the workload. Without one it has the health check alone.
func loadRequests(l twin.Load, check Check) ([]byte, error) {
	if len(l.Requests) > RequestsMax {
		return nil, api.Errorf(api.CodeInvalid, "the workload has %d bytes; that of a twin that is no virtual machine has at most %d", len(l.Requests), RequestsMax)
	}
	if len(l.Requests) > 0 {
		return l.Requests, nil
	}
	return workload.Replay("", check.Path).Encode(), nil
}

// verbatim is a template of a text that stands for itself.
func verbatim(text []byte, path string) *nomadapi.Template {
	open, shut := delimiters(text)
	return &nomadapi.Template{
		EmbeddedTmpl: new(string(text)), DestPath: new(path), ChangeMode: new("noop"), LeftDelim: new(open), RightDelim: new(shut),
	}
}

// delimiters are those of a template in which a text stands for itself.
func delimiters(text []byte) (open, shut string) {
	for i := 0; ; i++ {
		open, shut = fmt.Sprintf("<%d<", i), fmt.Sprintf(">%d>", i)
		if !bytes.Contains(text, []byte(open)) {
			return open, shut
		}
	}
}
