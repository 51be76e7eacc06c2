//go:build e2e

package e2e

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	nomadapi "github.com/hashicorp/nomad/api"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/process"
)

// refused tries a patch on a node that lets QEMU have no monitor: what the disks
// do stays unknown, and all else is as usual.
func (s *sandbox) refused(t *testing.T) {
	const id = "picky-door"
	node := s.pickyNode(t)
	job := machineJob(id, filepath.Join(s.images, "store-1.0.qcow2"))
	job.Constraints = []*nomadapi.Constraint{nomadapi.NewConstraint("${node.unique.name}", "=", node)}
	job.TaskGroups[0].Count = new(0) // its twins have the node to themselves
	_, _, err := s.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, s.vendor, id)
	r := s.request("refused/1", "store-1.1", 8*time.Second)
	r.Target, err = s.client.Target(t.Context(), api.TargetRef{Namespace: "default", Job: id, Group: "store"})
	must.NoError(t, err)
	impact, err := s.simulator.Run(t.Context(), r)
	must.NoError(t, err)
	tell(t, impact)
	must.False(t, impact.Negative, must.Sprint(impact.Reason))
	must.StrContains(t, impact.Reason, "; not measured: io_operations, io_bytes (task vm: \"-qmp\" is not in args_allowlist)")
	must.Between(t, 20, impact.Requests, 45)
	s.noTwins()
}

// pickyNode joins one more client to the stack, whose QEMU plugin allows the
// arguments of machineJob and no other. It returns the node's name.
func (s *sandbox) pickyNode(t *testing.T) string {
	t.Helper()
	env := sharedStack(t)
	const name = "picky"
	model, err := os.ReadFile(filepath.Join(env.Dir, "config", "nomad-client-1.hcl"))
	must.NoError(t, err)
	config := string(model)
	set := func(field, value string) {
		t.Helper()
		line := regexp.MustCompile(`(?m)^(\s*` + field + `\s*=).*$`)
		must.RegexMatch(t, line, config)
		config = line.ReplaceAllLiteralString(config, field+" = "+value)
	}
	port := regexp.MustCompile(`max_dynamic_port\s*=\s*(\d+)`).FindStringSubmatch(config)
	must.Len(t, 2, port)
	most, err := strconv.Atoi(port[1])
	must.NoError(t, err)
	set("name", strconv.Quote(name))
	set("data_dir", strconv.Quote(filepath.Join(env.Dir, "data", name))) // the stack removes it, with its mounts
	set("min_dynamic_port", strconv.Itoa(most+1))                        // beyond those of the stack's only client
	set("max_dynamic_port", strconv.Itoa(most+20))
	config = regexp.MustCompile(`ports \{\s*http = \d+`).ReplaceAllLiteralString(config, "ports {\n  http = "+freePort(t))
	config = strings.Replace(config, "    image_paths =", `    args_allowlist = ["-snapshot", "-no-reboot", "-netdev", "-device"]`+"\n    image_paths =", 1)
	must.StrContains(t, config, "args_allowlist")
	path := filepath.Join(t.TempDir(), "picky.hcl")
	must.NoError(t, os.WriteFile(path, []byte(config), 0o600))

	agent := process.New(filepath.Join(t.TempDir(), "picky.log"))
	must.NoError(t, agent.Launch([]string{filepath.Join(env.BinDir, "nomad"), "agent", "-config=" + path}, nil))
	var node *nomadapi.NodeListStub
	t.Cleanup(func() {
		agent.Terminate()
		if node != nil {
			_, _, err := s.vendor.Nodes().Purge(node.ID, nil)
			must.NoError(t, err)
		}
	})
	eventuallySay(t, time.Minute, func() bool {
		nodes, _, err := s.vendor.Nodes().List(nil)
		must.NoError(t, err)
		for _, n := range nodes {
			if n.Name == name && n.Drivers["qemu"] != nil && n.Drivers["qemu"].Healthy && n.Drivers["raw_exec"] != nil {
				node = n
			}
		}
		return node != nil && node.Status == nomadapi.NodeStatusReady
	}, agent.Log)
	return name
}

// freePort is a port of loopback that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must.NoError(t, err)
	must.NoError(t, listener.Close())
	return port
}
