package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/twin"
)

// A twin's QEMU tells what the guest does to its disk through a monitor (QMP)
// on two files of the allocation: it reads commands from a FIFO, .in, and writes
// what it answers to .out. No network reaches either. QEMU keeps both open for
// reading and writing, so that it waits for nobody who writes and never sees an
// end: the task that asks may die and come back.
const (
	twinMonitor = "${NOMAD_ALLOC_DIR}/data/oakum-qmp"
	// twinAnswers is .out as Nomad's file API names it.
	twinAnswers = "alloc/data/oakum-qmp.out"
	// askTask asks for the statistics.
	askTask = "oakum-ask"
	// answersMax is read from the end of the answers. One is 3.5 KiB with the four
	// drives that QEMU's PC has by itself, and 0.9 more for each other one.
	answersMax = 16 << 10
)

// askScript asks once a second. QEMU's answers carry no time, but the ID of
// their question: that is the node's uptime, which no clock that is set can
// move. Once a minute the answers are forgotten, so that the file does not grow
// with the simulation; QEMU writes on where it was, and the beginning becomes a
// hole. Counters that only rise lose nothing by it. Argument: monitor.
const askScript = `exec 3<>"$1.in"
echo '{"execute":"qmp_capabilities"}' >&3
n=0
while :; do
  n=$(((n + 1) % 60))
  [ "$n" != 0 ] || : >"$1.out"
  read -r up rest </proc/uptime
  echo "{\"execute\":\"query-blockstats\",\"id\":\"$up\"}" >&3
  sleep 1
done
`

// asker is the task that asks a twin's QEMU. Whatever becomes of it, the twin
// goes on: it is started again for ever, and a task that fails would take the
// machine with it.
func asker(vm *nomadapi.Task) *nomadapi.Task {
	return &nomadapi.Task{
		Name:      askTask,
		Driver:    "raw_exec",
		User:      vm.User,
		Lifecycle: &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPoststart, Sidecar: true},
		Config: map[string]any{
			"command": "/bin/sh",
			"args":    []string{"-c", askScript, "ask", twinMonitor},
		},
		KillSignal:  "SIGTERM",
		KillTimeout: new(time.Second),
		Resources:   &nomadapi.Resources{CPU: new(20), MemoryMB: new(16)},
		RestartPolicy: &nomadapi.RestartPolicy{
			Attempts: new(10), Interval: new(time.Minute), Delay: new(time.Second), Mode: new(nomadapi.RestartPolicyModeDelay),
		},
		LogConfig: &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	}
}

// diedOfMonitor reports whether a twin would live without its monitor: the
// node's args_allowlist has no -qmp, QEMU says that it can't open it, or a task
// that is there for nothing else failed.
func diedOfMonitor(m twin.Machine, tasks map[string]*nomadapi.TaskState, why string) bool {
	failed := func(name string) bool { return tasks[name] != nil && tasks[name].Failed }
	return m.Monitored && (strings.Contains(why, "-qmp") || failed(askTask) || m.Image == "" && failed(prepareTask))
}

// lacksShell reports whether a twin that no node takes might have one without
// its monitor: a job that makes its own disk needs no raw_exec.
func lacksShell(m twin.Machine, metric *nomadapi.AllocationMetric) bool {
	return m.Monitored && m.Image == "" && metric.ConstraintFiltered["missing drivers"] > 0
}

// twinBlocks reads what the machine has done to its disk, or says why that is
// not known.
func (s *Sandbox) twinBlocks(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation) (blocks twin.Blocks, why string) {
	if !m.Monitored {
		return twin.Blocks{}, "QEMU has no monitor"
	}
	// By way of the servers, as in twinDigest.
	q := s.nomad.Query(ctx, m.Namespace)
	q.Params = map[string]string{"path": twinAnswers, "origin": "end", "offset": fmt.Sprint(answersMax), "follow": "false"}
	file, err := s.api.Raw().Response("/v1/client/fs/stream/"+alloc.ID, q)
	if err != nil {
		return twin.Blocks{}, "QEMU's answers can't be read: " + err.Error()
	}
	text, err := frames(file, answersMax)
	if err := errors.Join(err, file.Close()); err != nil {
		return twin.Blocks{}, "QEMU's answers can't be read: " + err.Error()
	}
	return blockStats(text)
}

// frames is the content, of at most so many bytes, that Nomad streams in pieces.
func frames(stream io.Reader, most int) ([]byte, error) {
	// In base64, each piece with its name and offset. The file grows meanwhile.
	decoder := json.NewDecoder(io.LimitReader(stream, int64(4*most)))
	var text []byte
	for len(text) < 2*most {
		var frame nomadapi.StreamFrame
		err := decoder.Decode(&frame)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read a frame: %w", err)
		}
		text = append(text, frame.Data...)
	}
	return text, nil
}
