package sandbox

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/twin"
)

// TestTwinJob_Unmonitored: what is there for the monitor alone is left out.
func TestTwinJob_Unmonitored(t *testing.T) {
	job, m, err := makeTwinIn(t, production(), twin.Spec{Unmonitored: true})
	must.NoError(t, err)
	must.False(t, m.Monitored)
	must.Eq(t, 0, m.Captures)
	must.Eq(t, []string{"oakum-prepare", "vm"}, taskNames(job))
	must.Eq(t, "", words(job.TaskGroups[0].Tasks[0])[1])
	for _, own := range []string{"-qmp", "-sandbox", "-object"} {
		must.SliceNotContains(t, words(job.TaskGroups[0].Tasks[1]), own)
	}
}

func TestDiedOfMonitor(t *testing.T) {
	failed := map[string]*nomadapi.TaskState{"oakum-prepare": {Failed: true}}
	monitored := twin.Machine{Monitored: true, Image: "/images/a"}
	withAgent := twin.Machine{Monitored: true, Agent: true, Image: "/images/a"}
	cases := map[string]struct {
		m     twin.Machine
		tasks map[string]*nomadapi.TaskState
		why   string
		want  bool
	}{
		"allowlist":      {monitored, nil, `task vm: "-qmp" is not in args_allowlist`, true},
		"can't open":     {monitored, nil, "task vm: Exit Code: 1: qemu-system-x86_64: -qmp pipe:/a/q: Could not open '/a/q'", true},
		"other argument": {monitored, nil, `task vm: "-no-reboot" is not in args_allowlist`, false},
		"no monitor":     {twin.Machine{Image: "/images/a"}, nil, `"-qmp" is not in args_allowlist`, false},
		"no overlay":     {monitored, failed, "task oakum-prepare: qemu-img: no such file", false},
		"no filter":      {monitored, nil, `task vm: "-sandbox" is not in args_allowlist`, true},
		"no capture":     {monitored, nil, `task vm: "-object" is not in args_allowlist`, true},
		"capture":        {monitored, nil, "task vm: Exit Code: 1: qemu-system-x86_64: -object filter-dump,id=oakum-egress-0: net dump: can't open /a/e", true},
		"own object":     {monitored, nil, "task vm: Exit Code: 1: qemu-system-x86_64: -object memory-backend-ram,id=m: cannot allocate memory", false},
		"asker":          {monitored, map[string]*nomadapi.TaskState{"oakum-ask": {Failed: true}}, "user is denied", true},
		"own device":     {monitored, nil, `task vm: "-device" is not in args_allowlist`, false},
		"no port":        {withAgent, nil, `task vm: "-device" is not in args_allowlist`, true},
		"port":           {withAgent, nil, "task vm: Exit Code: 1: qemu-system-x86_64: -device virtio-serial,id=oakum-agent-bus: No 'PCI' bus found", true},
		"agent's asker":  {withAgent, map[string]*nomadapi.TaskState{"oakum-agent": {Failed: true}}, "user is denied", true},
		"killed":         {monitored, map[string]*nomadapi.TaskState{"vm": {Failed: true}}, "exit code 137", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, diedOfMonitor(c.m, c.tasks, c.why)) })
	}
}

func TestFrames_AreBounded(t *testing.T) {
	text, err := frames(strings.NewReader(`{}{"Data":"YQ==","File":"f","Offset":1}{"Data":"Yg=="}`), 100)
	must.NoError(t, err)
	must.Eq(t, "ab", string(text))
	_, err = frames(strings.NewReader(`{"Data":"`+strings.Repeat("YWFh", 200)+`"}`), 100)
	must.Error(t, err)
	_, err = frames(strings.NewReader("no such file"), 100)
	must.Error(t, err)
}

// TestAskScript_EndsACaptureThatIsFull once, and leaves the others.
func TestAskScript_EndsACaptureThatIsFull(t *testing.T) {
	folder := t.TempDir()
	monitor := filepath.Join(folder, "qmp")
	must.NoError(t, syscall.Mkfifo(monitor+".in", 0o600))
	asked, err := os.OpenFile(monitor+".in", os.O_RDWR, 0)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, asked.Close()) })
	must.NoError(t, os.WriteFile(filepath.Join(folder, "small.pcap"), make([]byte, 99), 0o600))
	must.NoError(t, os.WriteFile(filepath.Join(folder, "large.pcap"), make([]byte, 100), 0o600))

	ctx, cancel := context.WithCancel(t.Context())
	script := exec.CommandContext(ctx, "/bin/sh", "-c", askScript, "ask", monitor, folder, "100", "small", "large", "absent")
	must.NoError(t, script.Start())
	defer func() { cancel(); must.Error(t, script.Wait()) }()
	ended, lines := []string{}, bufio.NewScanner(asked)
	for rounds := 0; rounds < 3 && lines.Scan(); {
		if strings.Contains(lines.Text(), "query-blockstats") {
			rounds++
		}
		if strings.Contains(lines.Text(), "object-del") {
			ended = append(ended, lines.Text())
		}
	}
	must.NoError(t, lines.Err())
	must.Eq(t, []string{`{"execute":"object-del","arguments":{"id":"large"}}`}, ended)
}
