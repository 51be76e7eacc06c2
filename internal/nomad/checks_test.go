package nomad

import (
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"
)

func TestFailing_SaysWhichCheckDoesNotPass(t *testing.T) {
	t.Parallel()
	check := func(name, mode, status, output string) nomadapi.AllocCheckStatus {
		return nomadapi.AllocCheckStatus{Check: name, Mode: mode, Status: status, Output: output}
	}
	for name, c := range map[string]struct {
		said nomadapi.AllocCheckStatuses
		want int
		text string
	}{
		"all pass":               {nomadapi.AllocCheckStatuses{"1": check("http", "healthiness", "success", "")}, 1, ""},
		"none was made":          {nil, 2, "0 of its 2 checks in nomad have passed"},
		"one was not made":       {nomadapi.AllocCheckStatuses{"1": check("http", "healthiness", "success", "")}, 2, "1 of its 2 checks in nomad have passed"},
		"one waits":              {nomadapi.AllocCheckStatuses{"1": check("http", "healthiness", "pending", "")}, 1, `its check "http" in nomad is pending`},
		"one fails":              {nomadapi.AllocCheckStatuses{"1": check("http", "healthiness", "success", ""), "2": check("tcp", "healthiness", "failure", "refused\n")}, 2, `its check "tcp" in nomad is failure: refused`},
		"one that is ignored":    {nomadapi.AllocCheckStatuses{"1": check("http", "healthiness", "success", ""), "2": check("ready", "readiness", "failure", "")}, 1, ""},
		"a status of the future": {nomadapi.AllocCheckStatuses{"1": check("http", "healthiness", "unheard-of", "")}, 1, `its check "http" in nomad is unheard-of`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			must.EqOp(t, c.text, failing(c.said, c.want))
		})
	}
}

func TestNativeChecks_CountsWhatNomadJudges(t *testing.T) {
	t.Parallel()
	service := func(provider, onUpdate string, checks ...nomadapi.ServiceCheck) *nomadapi.Service {
		return &nomadapi.Service{Provider: provider, OnUpdate: onUpdate, Checks: checks}
	}
	group := &nomadapi.TaskGroup{
		Services: []*nomadapi.Service{
			service("nomad", "", nomadapi.ServiceCheck{}, nomadapi.ServiceCheck{OnUpdate: "ignore"}),
			service("nomad", "ignore", nomadapi.ServiceCheck{}, nomadapi.ServiceCheck{OnUpdate: "require_healthy"}),
			service("consul", "", nomadapi.ServiceCheck{}), service("", "", nomadapi.ServiceCheck{}), service("nomad", ""),
		},
		Tasks: []*nomadapi.Task{{Services: []*nomadapi.Service{service("nomad", "", nomadapi.ServiceCheck{OnUpdate: "ignore_warnings"})}}},
	}
	must.EqOp(t, 3, nativeChecks(group))
	must.EqOp(t, 0, nativeChecks(&nomadapi.TaskGroup{}))
}
