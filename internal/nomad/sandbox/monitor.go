package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// QEMU reports what a twin's guest does to its disk through a monitor (QMP). The
// monitor uses two files of the allocation: it reads commands from a FIFO, .in,
// and writes answers to .out. No network reaches either file. QEMU keeps both open
// for reading and writing. So QEMU never waits for a writer and never sees an end
// of file, and the asking task may end and start again.
const (
	twinMonitor = "${NOMAD_ALLOC_DIR}/data/oakum-qmp"
	// twinAnswers is the path of .out in Nomad's file API.
	twinAnswers = "alloc/data/oakum-qmp.out"
	// askTask asks QEMU for the statistics of its drives.
	askTask = "oakum-ask"
	// answersMax is how many bytes are read from the end of .out. An answer is
	// 3.5 KiB with the four drives that QEMU's PC always has, and 0.9 KiB more
	// for each further drive.
	answersMax = 16 << 10
)

// askScript asks QEMU once a second. QEMU's answers carry no time, but they repeat
// the ID of the question. The ID is the node's uptime, since nobody can set that
// clock. Once a minute the script truncates .out, so that the file does not grow
// with the simulation. QEMU continues at its old offset, so the beginning of the
// file becomes a hole. Truncation loses no work: the counters only rise.
//
// QEMU writes captures for as long as the machine sends. So the script ends a capture
// that has grown to its limit. Arguments: monitor, folder and limit of captures in
// bytes, their names.
const askScript = `monitor=$1 folder=$2 most=$3
shift 3
exec 3<>"$monitor.in"
echo '{"execute":"qmp_capabilities"}' >&3
n=0
while :; do
  n=$(((n + 1) % 60))
  [ "$n" != 0 ] || : >"$monitor.out"
  read -r up rest </proc/uptime
  echo "{\"execute\":\"query-blockstats\",\"id\":\"$up\"}" >&3
  for name; do
    shift
    size=$(stat -c %s "$folder/$name.pcap") || size=0
    if [ "$size" -ge "$most" ]; then
      echo "{\"execute\":\"object-del\",\"arguments\":{\"id\":\"$name\"}}" >&3
    else
      set -- "$@" "$name"
    fi
  done
  sleep 1
done
`

// asker is the task that asks a twin's QEMU. It must not end the twin: Nomad kills
// all tasks of an allocation when one of them has failed. So Nomad restarts this
// task for ever.
func asker(vm *nomadapi.Task, captures int) *nomadapi.Task {
	args := []string{"-c", askScript, "ask", twinMonitor, qemu.Folder, strconv.Itoa(CaptureMax)}
	for i := range captures {
		args = append(args, captureName(i))
	}
	return &nomadapi.Task{
		Name:        askTask,
		Driver:      "raw_exec",
		User:        vm.User,
		Lifecycle:   &nomadapi.TaskLifecycle{Hook: nomadapi.TaskLifecycleHookPoststart, Sidecar: true},
		Config:      map[string]any{"command": "/bin/sh", "args": args},
		KillSignal:  "SIGTERM",
		KillTimeout: new(time.Second),
		Resources:   &nomadapi.Resources{CPU: new(20), MemoryMB: new(16)},
		RestartPolicy: &nomadapi.RestartPolicy{
			Attempts: new(10), Interval: new(time.Minute), Delay: new(time.Second), Mode: new(nomadapi.RestartPolicyModeDelay),
		},
		LogConfig: &nomadapi.LogConfig{MaxFiles: new(1), MaxFileSizeMB: new(1)},
	}
}

// diedOfMonitor reports whether a twin has died because of its monitor, its system
// call filter, its captures or the serial port of its guest agent: the node's args_allowlist
// lacks a flag of theirs, QEMU can't open a file of theirs or was built without one of them, or the
// task that exists only for the monitor has failed. Such a twin would live without them.
func diedOfMonitor(m twin.Machine, tasks map[string]*nomadapi.TaskState, why string) bool {
	if !m.Monitored {
		return false
	}
	for _, name := range []string{askTask, agentTask} {
		if asker := tasks[name]; asker != nil && asker.Failed {
			return true
		}
	}
	// The job may have objects and devices of its own, for which QEMU has other words.
	own := []string{"-qmp", "-sandbox", `"-object"`, captureObject}
	if m.Agent {
		own = append(own, `"-chardev"`, `"-device"`, agentDevice)
	}
	return slices.ContainsFunc(own, func(flag string) bool { return strings.Contains(why, flag) })
}

// twinBlocks reads the counters of the machine's disk. When they are not known,
// why says the reason.
func (s *Sandbox) twinBlocks(ctx context.Context, m twin.Machine, alloc *nomadapi.Allocation) (blocks twin.Blocks, why string) {
	if !m.Monitored {
		return twin.Blocks{}, "QEMU has no monitor"
	}
	// The call goes through the servers, as in readFile.
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

// frames decodes a file that Nomad streams in frames. It reads at most so many
// bytes.
func frames(stream io.Reader, most int) ([]byte, error) {
	// Each frame is JSON with the name, the offset and the content in base64. The
	// file may grow during the call, so the stream is limited.
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
