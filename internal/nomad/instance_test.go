package nomad

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

// hashicorp/nomad#14925: a client that came back keeps its allocation, which still names
// the one that stood in for it.
func TestIsInstance_KeepsWhatRunsAfterItsClientCameBack(t *testing.T) {
	t.Parallel()
	const run, stop, next = nomadapi.AllocDesiredStatusRun, nomadapi.AllocDesiredStatusStop, "bbbbbbbb"
	for _, tt := range []struct {
		name                  string
		desired, status, next string
		want                  bool
	}{
		{"it runs", run, "running", "", true},
		{"it starts", run, "pending", "", true},
		{"its client came back", run, "running", next, true},
		{"its client is away, and another one stands in", run, "unknown", next, false},
		{"its client is away, and nobody stands in", run, "unknown", "", true},
		{"it failed and was rescheduled", run, "failed", next, false},
		{"it failed, and none came after it", run, "failed", "", true},
		{"the one that stood in", stop, "complete", "", false},
	} {
		must.Eq(t, tt.want, isInstance(tt.desired, tt.status, tt.next), must.Sprint(tt.name))
	}
}
