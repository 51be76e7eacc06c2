package contract

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	consuldoor "github.com/oakumhq/oakum/e2e/fleet/consul"
	"github.com/oakumhq/oakum/e2e/fleet/door"
	nomaddoor "github.com/oakumhq/oakum/e2e/fleet/nomad"
	prometheusdoor "github.com/oakumhq/oakum/e2e/fleet/prometheus"
	"github.com/oakumhq/oakum/internal/fleet"
	"github.com/oakumhq/oakum/internal/fleet/mesh"
	"github.com/oakumhq/oakum/internal/wait"
)

// TestModel makes every check on the model.
func TestModel(t *testing.T) {
	m, sandbox := newModel(t, 2)
	nomad := httptest.NewServer(nomaddoor.New(m, sandbox))
	t.Cleanup(nomad.Close)
	second := func(do func(*fleet.Fleet, string) error) func(context.Context) error {
		return func(context.Context) error {
			var err error
			m.Update(func(f *fleet.Fleet) { err = do(f, f.Nodes()[1].ID) })
			return err
		}
	}
	consul := consuldoor.New(m)
	consul.Mesh(func(m *mesh.Mesh) { m.DefaultDeny = true })
	agent := httptest.NewServer(consul)
	t.Cleanup(agent.Close)
	metrics := httptest.NewServer(prometheusdoor.New(m, 0))
	t.Cleanup(metrics.Close)
	w := world{
		prometheus: metrics.URL,
		consul:     agent.URL,
		nomad:      nomad.URL, nodes: [2]string{"node-1", "node-2"}, healthPort: 8080, wide: 48, patience: wait.Patience,
		lose: second((*fleet.Fleet).LoseNode), regain: second((*fleet.Fleet).ReturnNode),
	}
	t.Run("checks", func(t *testing.T) { compare(t, w, checks()) })
}

// TestModelSystem makes the checks of system jobs on a model of their own.
func TestModelSystem(t *testing.T) {
	m, sandbox := newModel(t, systemNodes)
	nomad := httptest.NewServer(nomaddoor.New(m, sandbox))
	t.Cleanup(nomad.Close)
	w := world{nomad: nomad.URL, consul: nomad.URL, wide: 1, patience: wait.Patience}
	t.Run("checks", func(t *testing.T) { compare(t, w, systemChecks()) })
}

// newModel is a fleet of some nodes whose instances do what their environment
// says, as the shell scripts of the checks do on real nodes.
func newModel(t *testing.T, nodes int) (*door.Model, *nomaddoor.Sandbox) {
	t.Helper()
	f := fleet.New(1, time.Now())
	for i := range nodes {
		f.AddNode(fleet.Node{Name: fmt.Sprintf("node-%d", i+1), CPU: 40_000, MemoryMB: 16_000, Drivers: []string{"raw_exec", "qemu"}})
	}
	f.Behave(func(b fleet.Build) fleet.Behaviour {
		var out fleet.Behaviour
		env := b.Group.Tasks[0].Env
		if text := env["CRASH_AFTER"]; text != "" {
			d, err := time.ParseDuration(text + "s")
			must.NoError(t, err)
			out.CrashAfter = d
		}
		if env["HEALTH"] == "/sick" {
			out.NeverBoots = 1
		}
		return out
	})
	m := door.NewModel(f)
	sandbox := nomaddoor.NewSandbox(m)
	sandbox.Written = func(a *fleet.Alloc) nomaddoor.Files {
		env := a.Group.Tasks[0].Env
		return nomaddoor.Files{"main.stdout": env["STDOUT"], "main.stderr": env["STDERR"], "alloc/data/file": env["FILE"]}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); m.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; sandbox.Close() })
	return m, sandbox
}
