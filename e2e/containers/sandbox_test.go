//go:build e2e

package containers

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/stack"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/internal/workload"
)

// groupSpec asks for a twin of a target.
func groupSpec(t *testing.T, target api.Target, name string, patch []api.Apply) twin.Spec {
	t.Helper()
	oakum := filepath.Join(programs, "oakum")
	return twin.Spec{
		Job: twin.JobID(name, "1", twin.Control), Target: target.TargetRef,
		Group: &twin.Group{
			Network: stack.SandboxNetwork, Apply: patch,
			Load: twin.Load{
				Source: oakum, Checksum: digest(t, oakum), Requests: workload.Replay("/item/1,/item/2", "").Encode(),
				Rate: 20, Seed: 1, WarmUp: 5 * time.Second, Duration: 5 * time.Second,
			},
		},
	}
}

// load is what a twin's load has reported.
type load struct {
	box     *sandbox.Sandbox
	machine twin.Machine
	alloc   string
	from    int64
	all     []twin.Report
}

// read takes what is new, and returns the last report.
func (l *load) read(t *testing.T) twin.Report {
	t.Helper()
	reports, next, err := l.box.LoadReports(t.Context(), l.machine, l.alloc, l.from)
	must.NoError(t, err)
	l.all, l.from = append(l.all, reports...), next
	if len(l.all) == 0 {
		return twin.Report{}
	}
	return l.all[len(l.all)-1]
}

// startTwin starts a twin and waits until it runs.
func startTwin(t *testing.T, spec twin.Spec) *load {
	t.Helper()
	_, _, box := vendor(t)
	m, err := box.StartTwin(t.Context(), spec)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, box.StopTwin(context.WithoutCancel(t.Context()), m.Namespace, m.Job)) })
	l := &load{box: box, machine: m}
	var state twin.State
	wait.Within(t, wait.Patience, func() string { return fmt.Sprintf("the twin runs: %+v", state) }, func() bool {
		state, err = box.InspectTwin(t.Context(), m)
		must.NoError(t, err)
		l.alloc = state.Alloc
		return state.Phase == twin.Running
	})
	return l
}

func TestGroupTwin_IsSentAWorkloadFromInside(t *testing.T) {
	shopImage(t, "shop:1.0", "")
	program, err := os.ReadFile(filepath.Join(programs, "shop"))
	must.NoError(t, err)
	must.NoError(t, os.WriteFile(filepath.Join(running.ChrootFolder(), "shop"), program, 0o755))
	t.Run("docker", func(t *testing.T) { sentFromInside(t, shopJob("docker", "shop:1.0")) })
	t.Run("exec", func(t *testing.T) {
		job := shopJob("exec", "")
		server := job.TaskGroups[0].Tasks[0]
		server.Driver = "exec"
		server.Config = map[string]any{"command": "/opt/shop", "args": server.Config["args"]}
		sentFromInside(t, job)
	})
	t.Run("raw_exec", func(t *testing.T) {
		job := shopJob("raw", "")
		server := job.TaskGroups[0].Tasks[0]
		server.Driver = "raw_exec"
		server.Config = map[string]any{"command": filepath.Join(programs, "shop"), "args": server.Config["args"]}
		sentFromInside(t, job)
	})
}

func sentFromInside(t *testing.T, job *nomadapi.Job) {
	t.Helper()
	target := runProduction(t, job)
	patch := []api.Apply{{Kind: api.ApplyJob, Task: "server", Env: map[string]string{"SHOP_VERSION": "1.1"}}}
	spec := groupSpec(t, target, *job.ID, patch)
	spec.Pool = "default" // raw_exec has twins only where a pool is named
	l := startTwin(t, spec)
	must.SliceContains(t, l.machine.Lacks, "env.SECRET of task server")
	wait.For(t, "the twin is healthy", func() bool { return l.read(t).Healthy })
	must.Eq(t, twin.LoadWaiting, l.read(t).Phase)

	must.NoError(t, l.box.StartLoad(t.Context(), l.machine, l.alloc))
	wait.For(t, "the load is done", func() bool { return l.read(t).Phase == twin.LoadDone })
	sent := 0
	for _, r := range l.all {
		if r.Phase != twin.LoadRunning {
			continue
		}
		sent += len(r.Answers)
		for _, a := range r.Answers {
			must.False(t, a.Failed, must.Sprint(r.Why))
			must.Eq(t, 200, a.Status)
			must.Positive(t, a.Micros)
		}
	}
	must.Eq(t, 100, sent)

	state, err := l.box.InspectTwin(t.Context(), l.machine) // the load has ended, and the twin lives
	must.NoError(t, err)
	must.Eq(t, twin.Running, state.Phase, must.Sprint(state.Why))
	must.Positive(t, state.Usage.Memory)
	must.False(t, state.Usage.At.IsZero())
}

// prober tries to get out of its sandbox, and says what it found. Nomad would read a
// brace after a dollar sign as an expression of its own.
const prober = `
echo "routes $(cat /proc/net/route | wc -l)"
set -- $TRY
while [ $# -gt 0 ]; do
  if busybox nc -w 2 $1 $2 </dev/null 2>/dev/null; then echo "REACHED $1"; else echo "cut off from $1"; fi
  shift 2
done
exec busybox httpd -f -p 127.0.0.1:$NOMAD_PORT_http -h /
`

func TestGroupTwin_ReachesNothing(t *testing.T) {
	root := t.TempDir()
	text, err := os.ReadFile("/bin/busybox")
	must.NoError(t, err)
	must.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
	for _, name := range []string{"busybox", "sh", "cat", "wc"} {
		must.NoError(t, os.WriteFile(filepath.Join(root, "bin", name), text, 0o755))
	}
	must.NoError(t, os.WriteFile(filepath.Join(root, "health"), []byte("ok"), 0o644))
	must.NoError(t, running.ImportImage(t.Context(), "prober:1", root))

	// Production: a listener at every address of the host. Docker's and Nomad's own are
	// not asked, since a reply of theirs would say the same.
	var reached atomic.Int64
	listener, err := net.Listen("tcp", ":0")
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, listener.Close()) })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			_ = conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	must.NoError(t, err)
	var try []string
	addresses, err := net.InterfaceAddrs()
	must.NoError(t, err)
	for _, a := range addresses {
		if ip := a.(*net.IPNet).IP; ip.To4() != nil {
			try = append(try, ip.String()+" "+port)
		}
	}
	must.SliceContains(t, try, "127.0.0.1 "+port)

	job := shopJob("outward", "prober:1")
	job.TaskGroups[0].Tasks[0].Config["command"] = "/bin/sh"
	job.TaskGroups[0].Tasks[0].Config["args"] = []string{"-c", prober}
	job.TaskGroups[0].Tasks[0].Env = map[string]string{"TRY": strings.Join(try, " ")}
	target := runProduction(t, job)
	v, _, _ := vendor(t)
	wait.For(t, "production reaches itself", func() bool { return reached.Load() >= int64(len(try)) })
	before := reached.Load()

	try = append(try, "169.254.169.254 80") // where clouds have their metadata
	spec := groupSpec(t, target, "outward", []api.Apply{{Kind: api.ApplyImage, Task: "server", Image: "prober:1"}})
	spec.Group.Env = map[string]string{"TRY": strings.Join(try, " ")}
	l := startTwin(t, spec)
	wait.For(t, "the twin is healthy", func() bool { return l.read(t).Healthy })
	said := logOf(t, v, l.alloc, "server")
	must.StrContains(t, said, "routes 1\n") // the heading alone
	must.StrNotContains(t, said, "REACHED")
	for _, address := range try {
		ip, _, _ := strings.Cut(address, " ")
		must.StrContains(t, said, "cut off from "+ip+"\n")
	}
	must.Eq(t, before, reached.Load())
}

func logOf(t *testing.T, v *nomadapi.Client, alloc, task string) string {
	t.Helper()
	file, err := v.Raw().Response("/v1/client/fs/logs/"+alloc, &nomadapi.QueryOptions{Params: map[string]string{"task": task, "type": "stdout", "plain": "true"}})
	must.NoError(t, err)
	text, err := io.ReadAll(file)
	must.NoError(t, err)
	must.NoError(t, file.Close())
	return string(text)
}
