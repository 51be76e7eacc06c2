package sandbox

import (
	"strings"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/internal/twin"
)

// TestTwinJob_HasAPortForAGuestAgent where there are commands to run, in place of the
// one that the driver makes.
func TestTwinJob_HasAPortForAGuestAgent(t *testing.T) {
	source := production()
	source.TaskGroups[0].Tasks[1].Config["guest_agent"] = true
	job, m, err := makeTwinIn(t, source, twin.Spec{Commands: []string{"openssl version"}})
	must.NoError(t, err)
	must.True(t, m.Agent)
	must.Eq(t, []string{"oakum-prepare", "vm", "oakum-ask", "oakum-agent"}, taskNames(job))
	vm := job.TaskGroups[0].Tasks[1]
	must.MapNotContainsKey(t, vm.Config, "guest_agent")
	args := strings.Join(words(vm), " ")
	must.StrHasSuffix(t, "-chardev pipe,id=oakum-agent,path=${NOMAD_ALLOC_DIR}/data/oakum-agent -device virtio-serial,id=oakum-agent-bus"+
		" -device virtserialport,id=oakum-agent-port,bus=oakum-agent-bus.0,chardev=oakum-agent,name=org.qemu.guest_agent.0", args)
	must.StrContains(t, strings.Join(words(job.TaskGroups[0].Tasks[0]), " "), " fifos ${NOMAD_ALLOC_DIR}/data/oakum-agent root ")
	ask := job.TaskGroups[0].Tasks[3]
	must.True(t, ask.Lifecycle.Sidecar)
	must.StrContains(t, strings.Join(words(ask), " "), "openssl version")
	must.SliceContains(t, words(ask), "${NOMAD_TASK_DIR}/answers.ndjson")

	job, m, err = makeTwinIn(t, production(), twin.Spec{Commands: []string{"true"}, Unmonitored: true})
	must.NoError(t, err)
	must.False(t, m.Agent)
	must.Eq(t, []string{"oakum-prepare", "vm"}, taskNames(job))

	source = production("-netdev", "user,id=n0,hostfwd=tcp::${NOMAD_PORT_http}-:8080", "-chardev", "null,id=c", "-device", "virtio-serial",
		"-device", "virtserialport,chardev=c,name=org.qemu.guest_agent.0")
	_, m, err = makeTwinIn(t, source, twin.Spec{Commands: []string{"true"}})
	must.NoError(t, err)
	must.False(t, m.Agent, must.Sprint("an agent would listen at one of two ports"))
}
