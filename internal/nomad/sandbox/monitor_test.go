package sandbox

import (
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestTwinJob_Unmonitored: what is there for the monitor alone is left out.
func TestTwinJob_Unmonitored(t *testing.T) {
	own := production()
	own.TaskGroups[0].Tasks[1].Config["image_path"] = "local/disk.qcow2"
	cases := map[string]struct {
		job  *nomadapi.Job
		want []string
	}{
		"overlay":  {production(), []string{"oakum-prepare", "vm"}},
		"own disk": {own, []string{"vm"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			next, err := nomad.Patched(c.job, "store", nil)
			must.NoError(t, err)
			job, m, err := twinJob(next, twin.Spec{
				Job: "oakum-twin-s-1-control", Target: api.TargetRef{Namespace: "prod", Job: "store", Group: "store"}, Task: "vm", Unmonitored: true,
			})
			must.NoError(t, err)
			must.False(t, m.Monitored)
			must.Eq(t, c.want, taskNames(job))
			vm := job.TaskGroups[0].Tasks[len(c.want)-1]
			must.SliceNotContains(t, vm.Config["args"].([]string), "-qmp")
		})
	}
}

func TestDiedOfMonitor(t *testing.T) {
	failed := map[string]*nomadapi.TaskState{"oakum-prepare": {Failed: true}}
	monitored, own := twin.Machine{Monitored: true, Image: "/images/a"}, twin.Machine{Monitored: true}
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
		"own disk":       {own, failed, "task oakum-prepare: exit code 127", true},
		"asker":          {monitored, map[string]*nomadapi.TaskState{"oakum-ask": {Failed: true}}, "user is denied", true},
		"killed":         {monitored, map[string]*nomadapi.TaskState{"vm": {Failed: true}}, "exit code 137", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) { must.Eq(t, c.want, diedOfMonitor(c.m, c.tasks, c.why)) })
	}
	metric := &nomadapi.AllocationMetric{ConstraintFiltered: map[string]int{"missing drivers": 1}}
	must.True(t, lacksShell(own, metric))
	must.False(t, lacksShell(monitored, metric)) // its overlay needs one anyway
	must.False(t, lacksShell(own, &nomadapi.AllocationMetric{DimensionExhausted: map[string]int{"memory": 1}}))
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
