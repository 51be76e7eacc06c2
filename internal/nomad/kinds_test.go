package nomad_test

import (
	"maps"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// kinds is a Nomad with one job, of which a test says what is different.
func kinds(row, spec object) *cluster {
	stub := object{"ID": "j", "Namespace": "default", "Type": "service", "Status": "running", "JobModifyIndex": 7}
	job := object{"ID": "j", "Namespace": "default", "Type": "service", "Version": 1, "JobModifyIndex": 7, "Stop": false,
		"TaskGroups": []object{{"Name": "g", "Count": 2, "Tasks": []object{{"Name": "server", "Driver": "raw_exec"}}}}}
	maps.Copy(stub, row)
	maps.Copy(job, spec)
	return &cluster{answers: map[string]any{
		"/v1/jobs": []object{stub}, "/v1/job/j": job, "/v1/job/j/allocations": []object{
			{"ID": "a", "Name": "j.g[0]", "TaskGroup": "g", "DesiredStatus": "run", "ClientStatus": "running"},
			{"ID": "b", "Name": "j.g[0]", "TaskGroup": "g", "DesiredStatus": "run", "ClientStatus": "running"},
			{"ID": "c", "Name": "j.g[0]", "TaskGroup": "g", "DesiredStatus": "stop", "ClientStatus": "complete"},
		},
		"/v1/agent/members": object{"Members": []object{{"Name": "server-1", "Status": "alive", "Tags": object{"build": "1.11.3"}}}},
		"/v1/nodes":         []object{{"Name": "n1", "Version": "1.11.0"}},
	}}
}

func TestTargets_SaysOfWhichJobsNoPatchIsPossible(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		row, spec object
		kind, why string
		launch    api.Launch
	}{
		"a service job":              {},
		"a system job":               {spec: object{"Type": "system"}, kind: "system"},
		"a sysbatch job":             {spec: object{"Type": "sysbatch"}, kind: "sysbatch", why: "runs once more on every node"},
		"a batch job that runs":      {spec: object{"Type": "batch"}, kind: "batch", why: "begins its work anew"},
		"a batch job that waits":     {row: object{"Type": "batch", "Status": "pending"}, spec: object{"Type": "batch"}, kind: "batch", why: "begins its work anew"},
		"a periodic job":             {row: object{"Type": "batch", "Periodic": true}, spec: object{"Type": "batch", "Periodic": object{"Enabled": true}}, kind: "batch", launch: api.LaunchPeriodic},
		"a parameterized job":        {row: object{"Type": "batch", "ParameterizedJob": true}, spec: object{"Type": "batch", "ParameterizedJob": object{}}, kind: "batch", launch: api.LaunchParameterized},
		"a job that is both":         {row: object{"Type": "batch", "Periodic": true, "ParameterizedJob": true}, spec: object{"Type": "batch", "Periodic": object{"Enabled": true}, "ParameterizedJob": object{}}, kind: "batch", launch: api.LaunchParameterized},
		"a periodic job that is off": {row: object{"Type": "batch", "Periodic": true}, spec: object{"Type": "batch", "Periodic": object{"Enabled": false}}, kind: "batch", launch: api.LaunchPeriodic},
		"a job of several regions":   {spec: object{"Multiregion": object{"Regions": []object{{"Name": "west"}}}}, why: "multiregion"},
		"a system job in one region": {spec: object{"Type": "system", "Multiregion": object{"Regions": []object{{"Name": "west"}}}}, kind: "system", why: "multiregion"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := kinds(c.row, c.spec).client(t)
			targets, err := client.Targets(t.Context())
			must.NoError(t, err)
			must.Len(t, 1, targets)
			must.EqOp(t, "default/j/g", targets[0].String())
			must.EqOp(t, c.kind, targets[0].Type)
			must.EqOp(t, c.launch, targets[0].Launch)
			must.EqOp(t, c.launch != "", targets[0].Count == 0)
			must.EqOp(t, c.why == "", targets[0].Unfit == "", must.Sprint(targets[0].Unfit))
			must.StrContains(t, targets[0].Unfit, c.why)
			idle, err := client.Idle(t.Context())
			must.NoError(t, err)
			must.SliceEmpty(t, idle)
		})
	}
}

func TestIdle_SaysWhyAJobRunsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		row object
		why string
	}{
		"a stopped service":          {object{"Stop": true}, "its job is stopped"},
		"a stopped periodic job":     {object{"Type": "batch", "Periodic": true, "Stop": true}, "its job is stopped"},
		"a batch job at its end":     {object{"Type": "batch", "Status": "dead"}, "its job, of type batch, has run to its end and does not run again"},
		"a sysbatch job at its end":  {object{"Type": "sysbatch", "Status": "dead"}, "its job, of type sysbatch, has run to its end and does not run again"},
		"a run of a periodic job":    {object{"Type": "batch", "ParentID": "report"}, `it is one run of job "report"; patch that job`},
		"a run that is over, too":    {object{"Type": "batch", "ParentID": "report", "Status": "dead"}, `it is one run of job "report"; patch that job`},
		"a run whose job is stopped": {object{"Type": "batch", "ParentID": "report", "Stop": true}, `it is one run of job "report"; patch that job`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := kinds(c.row, nil).client(t)
			targets, err := client.Targets(t.Context())
			must.NoError(t, err)
			must.SliceEmpty(t, targets)
			idle, err := client.Idle(t.Context())
			must.NoError(t, err)
			must.Len(t, 1, idle)
			must.Eq(t, api.TargetRef{Namespace: "default", Job: "j"}, idle[0].TargetRef)
			must.EqOp(t, c.why, idle[0].Unfit)
		})
	}
}
