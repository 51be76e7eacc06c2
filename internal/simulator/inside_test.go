package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/sender"
	"github.com/oakumhq/oakum/internal/simulator"
	"github.com/oakumhq/oakum/internal/twin"
	"github.com/oakumhq/oakum/internal/workload"
)

// insides is the model with twins that only the real sender can ask.
type insides struct {
	*model
	mu     sync.Mutex
	loads  map[string]*modelLoad        // by job
	broken string                       // the loads of these jobs fail after half a minute
	mute   string                       // the reports of these jobs are not readable
	calls  map[string][]twin.Unanswered // of the stubs of jobs, by their role

	slowdown float64 // of load programs; 0 for none
	ended    string  // the load programs of these jobs end while they count

	dies string // the twins of these jobs die when their load starts: their node knows at once
	gone string // the same, and the node takes the start all the same: the load never begins
}

// modelLoad is the load of one twin.
type modelLoad struct {
	mu     sync.Mutex
	report bytes.Buffer
	start  chan struct{}
	end    context.CancelFunc
	ended  chan struct{}
}

func (l *modelLoad) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.report.Write(p)
}

// namespace carries requests to one twin: its loopback.
type namespace struct {
	model *model
	job   string
}

func (n namespace) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = n.job
	return n.model.RoundTrip(r)
}

func newInsides() *insides { return &insides{model: newModel(), loads: map[string]*modelLoad{}} }

func (m *insides) StartTwin(ctx context.Context, spec twin.Spec) (twin.Machine, error) {
	machine, err := m.model.StartTwin(ctx, spec)
	if err != nil || spec.Group == nil {
		return machine, err
	}
	requests, rate := workload.Replay("/item/1", ""), spec.Group.Load.Rate
	if spec.Group.Load.Program == nil {
		if requests, err = workload.Parse("workload.ndjson", spec.Group.Load.Requests); err != nil {
			return machine, err
		}
	} else if m.slowdown > 0 {
		rate /= m.slowdown
	}
	if len(spec.Group.Stubs) > 0 {
		machine.Stubs = "oakum-stubs"
	}
	machine.Load, machine.Lacks = "oakum-load", []string{"env.A of task app", "docker.volumes of task app"}
	running, end := context.WithCancel(context.WithoutCancel(ctx))
	l := &modelLoad{start: make(chan struct{}), end: end, ended: make(chan struct{})}
	m.endLoad(spec.Job) // of the machine that it replaces
	m.mu.Lock()
	m.loads[spec.Job] = l
	m.mu.Unlock()
	go func() {
		defer close(l.ended)
		s := spec.Group.Load
		_ = sender.Run(running, sender.Options{ // it ends with its twin
			Base: "http://127.0.0.1:8080", Health: "/health", Workload: requests, Rate: rate, Seed: s.Seed,
			WarmUp: s.WarmUp, Duration: s.Duration, Out: l, Transport: namespace{m.model, spec.Job},
		}, l.start)
	}()
	return machine, nil
}

func (m *insides) InspectTwin(ctx context.Context, t twin.Machine) (twin.State, error) {
	state, err := m.model.InspectTwin(ctx, t)
	if m.broken != "" && strings.HasSuffix(t.Job, m.broken) && err == nil && time.Since(state.Started) > 30*time.Second {
		return twin.State{Phase: twin.Dead}, api.Errorf(api.CodeUnavailable, "the load of the twin has failed: exit code 1")
	}
	return state, err
}

// endLoad ends the load of a job that has one.
func (m *insides) endLoad(job string) {
	m.mu.Lock()
	l := m.loads[job]
	m.mu.Unlock()
	if l != nil {
		l.end()
		<-l.ended
	}
}

func (m *insides) StopTwin(ctx context.Context, ns, job string) error {
	m.endLoad(job)
	return m.model.StopTwin(ctx, ns, job)
}

func (m *insides) StartLoad(_ context.Context, t twin.Machine, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dies != "" && strings.HasSuffix(t.Job, m.dies) {
		time.AfterFunc(3*time.Second, func() { m.kill(t.Job) })
		return api.Errorf(api.CodeUnavailable, "500 (Task not running)")
	}
	if m.gone != "" && strings.HasSuffix(t.Job, m.gone) {
		time.AfterFunc(3*time.Second, func() { m.kill(t.Job) })
		return nil
	}
	close(m.loads[t.Job].start)
	return nil
}

func (m *insides) LoadReports(_ context.Context, t twin.Machine, _ string, from int64) ([]twin.Report, int64, error) {
	m.mu.Lock()
	l := m.loads[t.Job]
	m.mu.Unlock()
	if m.mute != "" && strings.HasSuffix(t.Job, m.mute) {
		return nil, from, api.Errorf(api.CodeUnavailable, "no such file")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.report.Bytes()[from:]
	var out []twin.Report
	for line := range bytes.Lines(text) {
		var r twin.Report
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, from, err
		}
		if m.ended != "" && strings.HasSuffix(t.Job, m.ended) && r.Phase == twin.LoadRunning {
			r.Ended = "exit code 3"
		}
		out = append(out, r)
	}
	return out, from + int64(len(text)), nil
}

func (m *insides) Unanswered(_ context.Context, t twin.Machine, _ string) ([]twin.Unanswered, error) {
	role := twin.Role(t.Job)
	if m.mute == role {
		return nil, api.Errorf(api.CodeUnavailable, "no such file")
	}
	return m.calls[role], nil
}

// containerRequest is request for a container.
func containerRequest() simulator.Request {
	r := request()
	r.Target.Driver, r.Target.Tasks = "docker", []api.Task{{Name: "app", Driver: "docker"}}
	r.Target.Meta["oakum_env_LISTEN"] = "127.0.0.1:8080"
	r.Apply[0].Task, r.Apply[0].Image = "app", "shop:1.1"
	r.Judge.KPIs = r.Judge.KPIs[:3]
	r.Spec.Pool = "twins"
	return r
}

func runInside(t *testing.T, m *insides, r simulator.Request, check func(t *testing.T, impact api.Impact, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(simulator.Options{
			Sandbox: m, Inside: simulator.Inside{Loads: m, Network: "oakum-sandbox", Source: "/oakum", Checksum: "sha256:" + strings.Repeat("0", 64)},
		})
		impact, err := s.Run(t.Context(), r)
		must.MapEmpty(t, m.machines)
		check(t, impact, err)
	})
}

func TestRun_AsksContainersFromInside(t *testing.T) {
	m := newInsides()
	runInside(t, m, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
		must.NoError(t, err)
		must.Eq(t, api.SimulationPass, impact.Verdict, must.Sprint(impact.Reason))
		must.Between(t, 290, impact.Requests, 620) // a minute for each of two pairs at most, 5 a second
		must.StrContains(t, impact.Reason, "; the twins went without env.A of task app, docker.volumes of task app")
	})
	for _, s := range m.specs {
		g := s.Group
		must.NotNil(t, g)
		must.Eq(t, "", s.Task)
		must.Eq(t, "oakum-sandbox", g.Network)
		must.Eq(t, "shop:1.1", g.Apply[0].Image)
		must.Eq(t, map[string]string{"LISTEN": "127.0.0.1:8080"}, g.Env)
		must.Eq(t, "twins", s.Pool)
		must.Eq(t, 5.0, g.Load.Rate)
		must.Eq(t, m.specs[0].Group.Load.Seed, g.Load.Seed)
		must.Eq(t, 15*time.Second, g.Load.WarmUp)
	}
	must.Eq(t, "", m.specs[0].Node)
	must.Eq(t, "n1", m.specs[1].Node)
}

func TestRun_RejectsBadContainers(t *testing.T) {
	cases := map[string]struct {
		change func(*behaviour)
		reason string
	}{
		"slow":          {func(b *behaviour) { b.latency = 60 * time.Millisecond }, "latency_p99 of the patched twin is"},
		"failing":       {func(b *behaviour) { b.errors = 0.3 }, "error_rate of the patched twin is worse than the control's"},
		"hungry":        {func(b *behaviour) { b.cpu = 0.3 }, "cpu "},
		"never healthy": {func(b *behaviour) { b.never = true }, "/health answers 503), while the control was healthy after"},
		"never boots":   {func(b *behaviour) { b.boot = time.Hour }, "connection refused"},
		"dies in load":  {func(b *behaviour) { b.deadAfter = 20 * time.Second }, "exit code 137"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newInsides()
			c.change(&m.patched)
			runInside(t, m, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, api.SimulationReject, impact.Verdict)
				must.StrContains(t, impact.Reason, c.reason)
			})
		})
	}
}

func TestRun_RejectsAContainerThatIsGoneBeforeItsLoadStarts(t *testing.T) {
	for name, change := range map[string]func(*insides){
		"the start fails":       func(m *insides) { m.dies = twin.Treatment },
		"the start is answered": func(m *insides) { m.gone = twin.Treatment },
	} {
		t.Run(name, func(t *testing.T) {
			m := newInsides()
			change(m)
			runInside(t, m, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
				must.NoError(t, err)
				must.Eq(t, api.SimulationReject, impact.Verdict)
				must.StrContains(t, impact.Reason, "the patched twin died after 0s of load (exit code 137), while the control lives")
			})
		})
	}
}

func TestRun_ContainersThatNobodyCanAskSayNothing(t *testing.T) {
	cases := map[string]struct {
		change func(*insides)
		reason string
	}{
		"the control's report is not readable":   {func(m *insides) { m.mute = twin.Control }, "control twin: it did not become healthy in time"},
		"the treatment's report is not readable": {func(m *insides) { m.mute = twin.Treatment }, "treatment twin: it did not become healthy in time"},
		"the load of the treatment fails":        {func(m *insides) { m.broken = twin.Treatment }, "treatment twin: the load of the twin has failed: exit code 1"},
		"the control never serves":               {func(m *insides) { m.control.never = true }, "control twin: it did not become healthy in time"},
		"the control dies when its load starts":  {func(m *insides) { m.dies = twin.Control }, "the control twin died after 0s: exit code 137"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := newInsides()
			c.change(m)
			runInside(t, m, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
				must.ErrorContains(t, err, c.reason)
				must.False(t, impact.Negative)
			})
		})
	}
	t.Run("the control answers nothing well", func(t *testing.T) {
		m := newInsides()
		m.control.errors, m.patched.errors = 1, 1
		runInside(t, m, containerRequest(), func(t *testing.T, impact api.Impact, err error) {
			must.NoError(t, err)
			must.Eq(t, api.SimulationUndecided, impact.Verdict)
			must.StrContains(t, impact.Reason, "the control answers none of the workload's requests well (GET /item/")
		})
	})
}
