package sandbox

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

func TestVariables_WriteOutEnds(t *testing.T) {
	vars := variables{"a": strings.Repeat("${b}", 1000), "b": strings.Repeat("${a}", 1000), "loop": "${loop}"}
	must.Eq(t, "${loop}", vars.writeOut("${loop}"))
	// One more step would make it a thousand times as long.
	text := vars.writeOut("${a}")
	must.Greater(t, qemu.ExpandedMax, len(text))
	must.LessEq(t, 1000*qemu.ExpandedMax, len(text))
}

func TestTwinJob_TakesVariablesOfThePolicy(t *testing.T) {
	const forwarded = "user,id=n0,hostfwd=tcp::${NOMAD_PORT_http}-:8080"
	source := production("-netdev", forwarded, "-fw_cfg", "name=opt/pricing,string=${PRICING}", "-append", "db=${DATABASE} tier=${TIER}")
	vm := source.TaskGroups[0].Tasks[1]
	vm.Env = map[string]string{"PRICING": "${PRICING_URL}", "PRICING_URL": "https://pricing.prod", "DATABASE": "prod", "TIER": "web"}
	env := map[string]string{"PRICING_URL": "http://10.0.2.2:1", "DATABASE": "twin", "UNUSED": "1"}
	job, m, err := makeTwinIn(t, source, twin.Spec{Env: env})
	must.NoError(t, err)
	must.Eq(t, []string{"DATABASE", "PRICING_URL"}, m.Env)
	args := job.TaskGroups[0].Tasks[1].Config["args"].([]string)
	must.SliceContains(t, args, "db=twin tier=web")
	must.SliceContains(t, args, "opt/pricing,string=http://10.0.2.2:1")
	must.MapEmpty(t, job.TaskGroups[0].Tasks[1].Env)

	_, _, err = makeTwinIn(t, source, twin.Spec{Env: map[string]string{"DATABASE": "${attr.unique.hostname}"}})
	must.ErrorContains(t, err, "variable ${attr.unique.hostname} is not allowed")
	_, _, err = makeTwinIn(t, source, twin.Spec{Env: map[string]string{"PRICING_URL": "x,file=/etc/shadow"}})
	must.ErrorContains(t, err, `property "file" is not allowed`)
}
