package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// loadTask sends a workload to the twin of a group.
	loadTask = "oakum-load"
	// loadFile is the report's name in the task's own folder: the program under test can
	// write to the folder of the allocation. An allocation that replaces another one has
	// the former report there, and a name of its own for the new one.
	loadFile      = "report.ndjson"
	loadFileAgain = "report-again.ndjson"
	// requestsMax bounds a workload's file in bytes. It is in the job of each twin.
	requestsMax = 256 << 10
	// reportPart is how many bytes of a report are read at once.
	reportPart = 128 << 10
	// startSignal makes the task begin.
	startSignal = "SIGHUP"
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

// loader is the task that asks the twin of a group from inside of its network namespace.
func loader(l twin.Load, check healthCheck, report string) (*nomadapi.Task, error) {
	sum, ok := strings.CutPrefix(l.Checksum, "sha256:")
	if !ok || !isDigest(sum) || l.Source == "" {
		return nil, api.Errorf(api.CodeInvalid, "simulator.load says not where the nodes find oakum (source, and checksum as sha256:...)")
	}
	requests, err := loadRequests(l, check)
	if err != nil {
		return nil, err
	}
	port := check.port
	if _, err := strconv.Atoi(port); err != nil {
		port = "${NOMAD_PORT_" + port + "}"
	}
	args := []string{
		"workload", "send", "-base=" + check.scheme + "://127.0.0.1:" + port, "-health=" + check.path,
		fmt.Sprintf("-rate=%g", l.Rate), fmt.Sprintf("-seed=%d", l.Seed), "-warm-up=" + l.WarmUp.String(), "-duration=" + l.Duration.String(),
		"-out=${NOMAD_TASK_DIR}/" + report, "${NOMAD_TASK_DIR}/workload.ndjson",
	}
	open, shut := delimiters(requests)
	task := &nomadapi.Task{
		Name: loadTask,
		// It shares the network namespace of the group, and needs nothing of a chroot.
		// It runs as the client does: no other user may enter Nomad's data directory.
		Driver: "raw_exec",
		// It ends before the twin, so it is no sidecar: Nomad would start it again.
		Lifecycle: &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPoststart},
		Templates: []*nomadapi.Template{{
			EmbeddedTmpl: new(string(requests)), DestPath: new("local/workload.ndjson"), ChangeMode: new("noop"),
			LeftDelim: new(open), RightDelim: new(shut),
		}},
		KillSignal: "SIGTERM", KillTimeout: new(time.Second),
		Resources:     &nomadapi.Resources{CPU: new(100), MemoryMB: new(128)},
		RestartPolicy: neverRestart(),
		LogConfig:     &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	}
	if strings.HasPrefix(l.Source, "/") {
		task.Config = map[string]any{"command": "/bin/sh", "args": append([]string{"-c", checkedScript, "load", sum, l.Source}, args...)}
		return task, nil
	}
	task.Artifacts = []*nomadapi.TaskArtifact{{
		GetterSource: new(l.Source), GetterOptions: map[string]string{"checksum": l.Checksum, "archive": "false"},
		GetterMode: new("file"), RelativeDest: new("local/oakum"),
	}}
	task.Config = map[string]any{"command": "local/oakum", "args": args}
	return task, nil
}

// loadRequests is the file of the workload. Without one it has the health check alone.
func loadRequests(l twin.Load, check healthCheck) ([]byte, error) {
	if len(l.Requests) > requestsMax {
		return nil, api.Errorf(api.CodeInvalid, "the workload has %d bytes; that of a twin that is no virtual machine has at most %d", len(l.Requests), requestsMax)
	}
	if len(l.Requests) > 0 {
		return l.Requests, nil
	}
	return workload.Replay("", check.path).Encode(), nil
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

// StartLoad begins the load of a group's twin, with its warm-up.
func (s *Sandbox) StartLoad(ctx context.Context, m twin.Machine, allocID string) error {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	alloc := &nomadapi.Allocation{ID: allocID}
	if err := s.api.Allocations().Signal(alloc, s.nomad.Query(ctx, m.Namespace), m.Load, startSignal); err != nil {
		return nomad.Explain("start the load of twin "+m.Job, err)
	}
	return nil
}

// LoadReports reads what the load of a group's twin has reported since an offset in the
// report, and the offset to go on from. It returns whole lines only, and none before the
// load has begun its report.
func (s *Sandbox) LoadReports(ctx context.Context, m twin.Machine, allocID string, from int64) ([]twin.Report, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	// The call goes through the servers, as in twinDigest.
	q := s.nomad.Query(ctx, m.Namespace)
	q.Params = map[string]string{"path": loadTask + "/local/" + reportOf(m.Former), "origin": "start", "offset": strconv.FormatInt(from, 10), "follow": "false"}
	file, err := s.api.Raw().Response("/v1/client/fs/stream/"+allocID, q)
	if err != nil {
		err = nomad.Explain("read the report of twin "+m.Job, err)
		// Nomad tells a file that is not there by the text alone.
		if from == 0 && api.IsCode(err, api.CodeInvalid) && strings.Contains(err.Error(), "no such file or directory") {
			return nil, 0, nil
		}
		return nil, from, err
	}
	text, err := frames(file, reportPart)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, from, fmt.Errorf("read the report of twin %s: %w", m.Job, err)
	}
	reports, read, err := parseReports(text)
	return reports, from + int64(read), err
}

// reportOf is the report's name in the allocation of a twin that replaces another one,
// or none.
func reportOf(former string) string {
	if former != "" {
		return loadFileAgain
	}
	return loadFile
}

// parseReports reads the whole lines at the beginning of a text, and returns how many
// bytes they are.
func parseReports(text []byte) (reports []twin.Report, read int, err error) {
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // the task is writing it
		}
		var r twin.Report
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, 0, api.Errorf(api.CodeUnavailable, "the load's report has a line that is none: %.80q", line)
		}
		reports = append(reports, r)
		read += len(line)
	}
	return reports, read, nil
}
