package nomad

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/rollout"
)

func TestOlder_TakesWhatIsNoVersionForOlder(t *testing.T) {
	for text, want := range map[string]bool{
		"1.11.0": false, "1.11.3": false, "1.11.3+ent": false, "2.0.0": false, "2.0.0-beta.1": false,
		"1.11.0-rc.1": true, "1.10.5": true, "1.9.0+ent": true, "": true, "dev": true,
	} {
		must.EqOp(t, want, older(text), must.Sprint(text))
	}
}

func TestOnNodes_SaysWhatAStageWouldDoBesides(t *testing.T) {
	for name, c := range map[string]struct {
		would    nomadapi.DesiredUpdates
		parallel int
		canary   int
		why      string
	}{
		"as many as asked":            {nomadapi.DesiredUpdates{DestructiveUpdate: 6, Canary: 2, InPlaceUpdate: 1}, 2, 100, ""},
		"no more than there are":      {nomadapi.DesiredUpdates{DestructiveUpdate: 1, Canary: 1}, 5, 100, ""},
		"none left":                   {nomadapi.DesiredUpdates{InPlaceUpdate: 4}, 1, 100, ""},
		"all at once":                 {nomadapi.DesiredUpdates{DestructiveUpdate: 6, Canary: 6}, 2, 100, "replace 6 instances at once, and 2 are asked for"},
		"without a deployment":        {nomadapi.DesiredUpdates{DestructiveUpdate: 6}, 2, 100, "no deployment"},
		"without one, as is intended": {nomadapi.DesiredUpdates{DestructiveUpdate: 6}, 2, 0, ""},
		"a node takes nothing new":    {nomadapi.DesiredUpdates{DestructiveUpdate: 5, Canary: 2, Stop: 1}, 2, 100, "stop 1 instances whose nodes take nothing new"},
		"others have to go":           {nomadapi.DesiredUpdates{DestructiveUpdate: 6, Canary: 2, Preemptions: 3}, 2, 100, "take 3 instances of other jobs away"},
	} {
		t.Run(name, func(t *testing.T) {
			would := &nomadapi.JobPlanResponse{Annotations: &nomadapi.PlanAnnotations{DesiredTGUpdates: map[string]*nomadapi.DesiredUpdates{"g": &c.would}}}
			why := onNodes(would, "g", &nomadapi.UpdateStrategy{MaxParallel: &c.parallel, Canary: &c.canary})
			must.EqOp(t, c.why == "", why == "", must.Sprint(why))
			must.StrContains(t, why, c.why)
		})
	}
	must.EqOp(t, "", onNodes(&nomadapi.JobPlanResponse{}, "g", &nomadapi.UpdateStrategy{}))
}

func TestViewNodes_CountsTheInstancesThatThereAre(t *testing.T) {
	stub := func(node string, created uint64, status, next string) *nomadapi.AllocationListStub {
		return &nomadapi.AllocationListStub{NodeID: node, CreateIndex: created, ClientStatus: status, NextAllocation: next}
	}
	all := []*nomadapi.AllocationListStub{
		stub("n1", 1, "complete", "b"), stub("n1", 2, "running", ""),
		stub("n2", 1, "lost", ""),
		stub("n3", 1, "lost", "c"), stub("n3", 3, "running", ""), // it has come back
		stub("n4", 1, "complete", ""), // drained
	}
	failed := &nomadapi.Deployment{JobVersion: 2, Status: nomadapi.DeploymentStatusFailed}
	for name, c := range map[string]struct {
		version uint64
		last    *nomadapi.Deployment
		reverts bool
	}{
		"no deployment":               {3, nil, true},
		"one of this version failed":  {2, failed, true},
		"one of a former version did": {3, failed, false},
	} {
		t.Run(name, func(t *testing.T) {
			v := &rollout.JobView{Version: c.version, Reverts: true, Count: 1, Instances: make([]api.Instance, 2)}
			viewNodes(v, c.last, all)
			must.True(t, v.PerNode)
			must.EqOp(t, 2, v.Count)
			must.EqOp(t, 1, v.Lost)
			must.EqOp(t, c.reverts, v.Reverts)
		})
	}
}
