package cluster

import (
	"testing"

	autopilot "github.com/hashicorp/raft-autopilot"
	"github.com/shoenig/test/must"
)

// TestDelegate_HasNoStateBeforeTheFirst is about the first round of a term, whose
// reports are there while autopilot has nothing but the empty state that it begins with.
func TestDelegate_HasNoStateBeforeTheFirst(t *testing.T) {
	d := newDelegate(&Node{})
	_, leads := d.lastState()
	must.False(t, leads)
	d.begin(autopilot.New(nil, d))
	d.reports["a"] = report{}
	seen, leads := d.lastState()
	must.True(t, leads)
	must.Nil(t, seen)
	d.end()
	_, leads = d.lastState()
	must.False(t, leads)
}
