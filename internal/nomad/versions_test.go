package nomad_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestRunningVersions_SayWhatInstancesRun: of the allocations of one job, or of the list of all
// where many jobs are asked about.
func TestRunningVersions_SayWhatInstancesRun(t *testing.T) {
	t.Parallel()
	sum := func(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }
	version := func(n int, image string, more object) object {
		task := object{"Name": "web", "Driver": "docker", "Config": object{"image": image}}
		maps.Copy(task, more)
		return object{"ID": "web", "Namespace": "default", "Type": "service", "Version": n, "JobModifyIndex": 7 + n, "Stop": false,
			"TaskGroups": []object{{"Name": "web", "Count": 3, "Tasks": []object{task}}}}
	}
	alloc := func(n, version int, more object) object {
		out := object{"ID": fmt.Sprint("alloc-", n), "Namespace": "default", "JobID": "web", "TaskGroup": "web", "JobVersion": version,
			"DesiredStatus": "run", "ClientStatus": "running"}
		maps.Copy(out, more)
		return out
	}
	pinned := func(digit string) string { return "shop/web@" + sum(digit) }
	now := version(2, pinned("b"), nil)
	for name, c := range map[string]struct {
		versions []object
		allocs   []any
		kept     object // the job of allocation 1
		want     []api.RunningVersion
	}{
		"all run the job's own": {[]object{now}, []any{alloc(1, 2, nil), alloc(2, 2, nil)}, nil, nil},
		"some run another": {[]object{now, version(1, pinned("a"), nil)}, []any{alloc(1, 1, nil), alloc(2, 2, nil), alloc(3, 1, nil)}, nil, []api.RunningVersion{
			{JobVersion: 1, Instances: 2, Tasks: []api.Task{{Name: "web", Driver: "docker", Image: pinned("a"), Digest: sum("a")}}},
			{JobVersion: 2, Instances: 1, Tasks: []api.Task{{Name: "web", Driver: "docker", Image: pinned("b"), Digest: sum("b")}}},
		}},
		"another asks for the same": {[]object{now, version(1, pinned("b"), nil)}, []any{alloc(1, 1, nil), alloc(2, 2, nil)}, nil, nil},
		"Nomad keeps it with the allocation": {[]object{now}, []any{alloc(1, 1, nil)}, version(1, pinned("a"), nil), []api.RunningVersion{
			{JobVersion: 1, Instances: 1, Tasks: []api.Task{{Name: "web", Driver: "docker", Image: pinned("a"), Digest: sum("a")}}},
		}},
		"Nomad keeps it no more": {[]object{now}, []any{alloc(1, 1, nil)}, nil, []api.RunningVersion{
			{JobVersion: 1, Instances: 1, Unknown: "Nomad keeps that version no more"},
		}},
		"the same name, and no digest": {[]object{version(2, "web:1", nil), version(1, "web:1", object{"Env": object{"A": "1"}})}, []any{alloc(1, 1, nil), alloc(2, 2, nil)}, nil, []api.RunningVersion{
			{JobVersion: 1, Instances: 1, Unknown: "image web:1 has the name of what the job runs now, and no digest tells whether it is the same"},
			{JobVersion: 2, Instances: 1, Tasks: []api.Task{{Name: "web", Driver: "docker", Image: "web:1"}}},
		}},
		"those that have ended run nothing": {[]object{now, version(1, pinned("a"), nil)}, []any{
			alloc(1, 1, object{"ClientStatus": "failed"}), alloc(2, 1, object{"ClientStatus": "complete"}), alloc(3, 1, object{"DesiredStatus": "stop"}),
			alloc(4, 1, object{"ClientStatus": "lost", "NextAllocation": "alloc-5"}), alloc(5, 2, nil), alloc(6, 1, object{"TaskGroup": "other"}),
		}, nil, nil},
		"a client is away": {[]object{now, version(1, pinned("a"), nil)}, []any{alloc(1, 1, object{"ClientStatus": "unknown"}), alloc(2, 2, nil)}, nil, []api.RunningVersion{
			{JobVersion: 1, Instances: 1, Tasks: []api.Task{{Name: "web", Driver: "docker", Image: pinned("a"), Digest: sum("a")}}},
			{JobVersion: 2, Instances: 1, Tasks: []api.Task{{Name: "web", Driver: "docker", Image: pinned("b"), Digest: sum("b")}}},
		}},
		"Nomad does not say its versions": {nil, []any{alloc(1, 1, nil), alloc(2, 2, nil)}, nil, []api.RunningVersion{
			{JobVersion: 1, Instances: 1, Unknown: "list versions of web: "}, {JobVersion: 2, Instances: 1, Unknown: "list versions of web: "},
		}},
	} {
		for _, many := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", of many: ", many), func(t *testing.T) {
				t.Parallel()
				pages := []any{}
				for _, a := range c.allocs {
					pages = append(pages, []any{a})
				}
				f := &cluster{answers: map[string]any{
					"/v1/jobs":    []object{{"ID": "web", "Namespace": "default", "Type": "service", "Status": "running", "JobModifyIndex": 9}},
					"/v1/job/web": now,
				}}
				if c.versions != nil {
					f.answers["/v1/job/web"] = c.versions[0]
					f.answers["/v1/job/web/versions"] = object{"Versions": c.versions}
				}
				if c.kept != nil {
					f.answers["/v1/allocation/alloc-1"] = object{"ID": "alloc-1", "Job": c.kept}
				}
				if many {
					f.answers["/v1/allocations"] = pages
				} else {
					f.answers["/v1/job/web/allocations"] = c.allocs
				}
				client := f.client(t)
				targets, err := client.Targets(t.Context())
				must.NoError(t, err)
				asked := targets
				for i := range 40 {
					if many {
						asked = append(asked, api.Target{TargetRef: api.TargetRef{Namespace: "default", Job: fmt.Sprint("idle-", i), Group: "web"}})
					}
				}
				got, err := client.RunningVersions(t.Context(), asked)
				must.NoError(t, err)
				found := got[targets[0].TargetRef]
				must.Len(t, len(c.want), found)
				for i, want := range c.want {
					must.StrHasPrefix(t, want.Unknown, found[i].Unknown)
					must.EqOp(t, want.Unknown == "", found[i].Unknown == "")
					found[i].Unknown = want.Unknown
					must.Eq(t, want, found[i])
				}
			})
		}
	}
}

func TestRunningVersions_FailWhereNobodyAnswers(t *testing.T) {
	t.Parallel()
	client := (&cluster{answers: map[string]any{}}).client(t)
	_, err := client.RunningVersions(t.Context(), []api.Target{{TargetRef: api.TargetRef{Namespace: "default", Job: "web", Group: "web"}}})
	must.ErrorContains(t, err, "list allocations")
}
