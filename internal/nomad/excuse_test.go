package nomad

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

func TestExcuse_TellsTheWorldFromWhatRuns(t *testing.T) {
	event := func(kind, said string) *nomadapi.TaskEvent {
		return &nomadapi.TaskEvent{Type: kind, DisplayMessage: said}
	}
	started := event(nomadapi.TaskStarted, "Task started by client")
	for name, c := range map[string]struct {
		client, state string
		events        []*nomadapi.TaskEvent
		want          string
	}{
		"healthy":      {"running", "running", []*nomadapi.TaskEvent{started}, ""},
		"lost":         {"lost", "running", nil, "its node n1 is lost"},
		"disconnected": {"unknown", "running", nil, "its node n1 is disconnected"},
		"an artifact that is not there": {
			"pending", "pending",
			[]*nomadapi.TaskEvent{event(nomadapi.TaskArtifactDownloadFailed, "failed to download artifact: 404"), event("Restarting", "")},
			"task main on n1: an artifact can't be downloaded: failed to download artifact: 404",
		},
		"an image that is not there": {
			"failed", "dead", []*nomadapi.TaskEvent{event(nomadapi.TaskDriverFailure, "Failed to pull `shop:2`: no such host")},
			"task main on n1: its image is not there: Failed to pull `shop:2`: no such host",
		},
		"a command that is not there": {"failed", "dead", []*nomadapi.TaskEvent{event(nomadapi.TaskDriverFailure, "executable not found")}, ""},
		"a template that has changed": {
			"running", "pending", []*nomadapi.TaskEvent{started, event(nomadapi.TaskRestartSignal, "Template with change_mode restart re-rendered")},
			"task main on n1: it restarts for a template that has changed: Template with change_mode restart re-rendered",
		},
		"an artifact came at last, and the command is not there": {
			"failed", "dead",
			[]*nomadapi.TaskEvent{event(nomadapi.TaskArtifactDownloadFailed, "404"), event("Restarting", ""), event(nomadapi.TaskDriverFailure, "executable not found")}, "",
		},
		"it restarted for a template, and its command is gone": {
			"pending", "pending",
			[]*nomadapi.TaskEvent{
				started, event(nomadapi.TaskRestartSignal, "Template with change_mode restart re-rendered"),
				event("Terminated", "Exit Code: 143"), event(nomadapi.TaskDriverFailure, "executable not found"),
			}, "",
		},
		"a restart that somebody asked for": {"running", "pending", []*nomadapi.TaskEvent{started, event(nomadapi.TaskRestartSignal, "User requested restart")}, ""},
		"it started since, and has crashed": {
			"running", "pending",
			[]*nomadapi.TaskEvent{event(nomadapi.TaskArtifactDownloadFailed, "404"), started, event("Terminated", "Exit Code: 1")}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			stub := &nomadapi.AllocationListStub{
				ID: "a", NodeName: "n1", ClientStatus: c.client,
				TaskStates: map[string]*nomadapi.TaskState{"main": {State: c.state, Events: c.events}},
			}
			must.EqOp(t, c.want, excuse(stub, nil))
		})
	}
}

// TestExcuse_BlamesThePatchForWhatItBrings: a wrong tag, path or checksum of a patch is an
// image that is not there, and waiting for it would not end.
func TestExcuse_BlamesThePatchForWhatItBrings(t *testing.T) {
	changes := []api.Apply{
		{Kind: api.ApplyImage, Task: "image", Image: "/images/typo.qcow2"},
		{Kind: api.ApplyJob, Task: "config", Config: map[string]any{"image": "shop:typo"}},
		{Kind: api.ApplyJob, Task: "env", Env: map[string]string{"LEVEL": "debug"}},
	}
	for task, excused := range map[string]bool{"image": false, "config": false, "env": true, "another": true} {
		for kind, said := range map[string]string{
			nomadapi.TaskDriverFailure: "Failed to pull `shop:typo`: manifest unknown", nomadapi.TaskArtifactDownloadFailed: "404",
		} {
			stub := &nomadapi.AllocationListStub{ClientStatus: "failed", TaskStates: map[string]*nomadapi.TaskState{
				task: {State: "dead", Failed: true, Events: []*nomadapi.TaskEvent{{Type: kind, DisplayMessage: said}}},
			}}
			must.EqOp(t, excused, excuse(stub, broughtBy(changes)) != "", must.Sprint(task, kind))
			must.StrContains(t, excuse(stub, nil), said, must.Sprint(task, kind))
		}
	}
}

// TestExcuse_AnotherTaskHasFailed: what one task lacks explains nothing while another one of
// the allocation fails by what it runs.
func TestExcuse_AnotherTaskHasFailed(t *testing.T) {
	stub := &nomadapi.AllocationListStub{ClientStatus: "failed", TaskStates: map[string]*nomadapi.TaskState{
		"helper": {State: "dead", Events: []*nomadapi.TaskEvent{{Type: nomadapi.TaskArtifactDownloadFailed, DisplayMessage: "404"}, {Type: nomadapi.TaskSiblingFailed}}},
		"main":   {State: "dead", Failed: true, Events: []*nomadapi.TaskEvent{{Type: nomadapi.TaskStarted}, {Type: nomadapi.TaskTerminated}}},
	}}
	must.EqOp(t, "", excuse(stub, nil))
	stub.TaskStates["main"].Failed = false
	must.StrContains(t, excuse(stub, nil), "404")
}
