package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/simulator/evidence"
	"github.com/oakumhq/oakum/internal/twin"
)

// Loads are the loads of twins that are no virtual machine. Each runs in its twin's own
// allocation, since nothing outside of it reaches the twin.
type Loads interface {
	// StartLoad begins the warm-up of a load that waits.
	StartLoad(ctx context.Context, m twin.Machine, alloc string) error
	// LoadReports reads what a load has reported since an offset, and the next offset.
	LoadReports(ctx context.Context, m twin.Machine, alloc string, from int64) ([]twin.Report, int64, error)
	// Unanswered are the calls of a twin that its stubs have no answer for.
	Unanswered(ctx context.Context, m twin.Machine, alloc string) ([]twin.Unanswered, error)
}

// Inside says how twins that are no virtual machine are made and asked.
type Inside struct {
	Loads    Loads
	Network  string // CNI network of the nodes without a way out
	Source   string // of oakum for the nodes: a URL, or an absolute path
	Checksum string // of it: "sha256:" and 64 hex digits
}

// errUnasked says that nothing has asked a twin. That is the sandbox's fault, and never
// the patch's.
var errUnasked = errors.New("its load has not asked it")

// asksInside reports whether the patch changes no virtual machine, so that its twins are
// asked from inside.
func (s *Simulator) asksInside(r Request) bool {
	return s.o.Inside.Loads != nil && !slices.ContainsFunc(r.Apply, func(a api.Apply) bool {
		return slices.ContainsFunc(r.Target.Tasks, func(t api.Task) bool { return t.Name == a.Task && t.Driver == "qemu" })
	})
}

// groupOf asks for a twin of the target's group; nil asks for a virtual machine.
func (e *experiment) groupOf() *twin.Group {
	r := e.request
	if !e.asksInside(r) {
		return nil
	}
	load := twin.Load{
		Source: e.o.Inside.Source, Checksum: e.o.Inside.Checksum, Rate: r.rate.PerSecond, Seed: seed(r.ID),
		WarmUp: e.o.Warmup, Duration: min(stretch*e.panel.Duration(), e.o.Within),
	}
	if load.Program = r.Spec.Program; load.Program != nil {
		load.Requests = nil
	} else if w := workloadOf(r); !w.Empty() {
		load.Requests = w.Encode()
	}
	return &twin.Group{
		Network: e.o.Inside.Network, Apply: r.Apply, Env: twinEnv(r), Stubs: r.Stubs, Load: load,
	}
}

// metaEnv begins the keys of a target's metadata that give its twins environment
// variables: production's own stay behind.
const metaEnv = "oakum_env_"

// twinEnv is the environment that a policy gives the twins of a target, and beside it
// the target's own metadata.
func twinEnv(r Request) map[string]string {
	env := map[string]string{}
	for key, value := range r.Target.Meta {
		if name, ok := strings.CutPrefix(key, metaEnv); ok {
			env[name] = value
		}
	}
	maps.Copy(env, r.Spec.Env)
	return env
}

// insideLoad is the load of one twin, as far as its report was read.
type insideLoad struct {
	loads   Loads
	machine twin.Machine
	alloc   string
	from    int64
	last    twin.Report
}

// read returns what the load has reported since the last call.
func (l *insideLoad) read(ctx context.Context) ([]twin.Report, error) {
	reports, next, err := l.loads.LoadReports(ctx, l.machine, l.alloc, l.from)
	if err != nil {
		return nil, err
	}
	l.from = next
	if len(reports) > 0 {
		l.last = reports[len(reports)-1]
	}
	return reports, nil
}

// failed says how the load program of a twin has ended by itself. Whatever it would have
// sent is missing then. It is nil while the program runs.
func (m *machine) failed() error {
	if how := m.inside.last.Ended; how != "" {
		return &undecidedError{fmt.Sprintf("the load program of the %s ended with %s", m.role, how)}
	}
	return nil
}

// check reports whether the load found its twin healthy.
func (l *insideLoad) check(ctx context.Context, alloc string) error {
	l.alloc = alloc
	_, err := l.read(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %s", errUnasked, err.Error()) // its code would stand for the whole
	case l.last.Phase == "":
		return errUnasked
	case !l.last.Healthy:
		return errors.New(l.last.Why)
	}
	return nil
}

// warmUpInside starts both loads, waits until what they send counts, and takes the
// latencies that the control has in the warm-up.
func (e *experiment) warmUpInside(ctx context.Context, p *pair, panels []*evidence.Panel) error {
	for _, m := range p.arms {
		if err := m.inside.loads.StartLoad(ctx, m.Machine, m.state.Alloc); err != nil {
			return wrap(err, "start the load of the "+m.role)
		}
	}
	var usual []float64
	why := ""
	err := poll(ctx, func() (bool, error) {
		begun := true
		for _, m := range p.arms {
			reports, err := m.inside.read(ctx)
			if err != nil {
				return false, wrap(err, "read the load of the "+m.role)
			}
			if err := m.failed(); err != nil {
				return false, err
			}
			begun = begun && (m.inside.last.Phase == twin.LoadRunning || m.inside.last.Phase == twin.LoadDone)
			if m != p.control() {
				continue
			}
			for _, r := range reports {
				usual = append(usual, goodLatencies(r)...)
				why = r.Why
			}
		}
		if !begun { // the load of a dead twin reports nothing for ever
			return false, p.alive(ctx, 0)
		}
		return true, nil
	})
	if _, ended := errors.AsType[*undecidedError](err); ended {
		return err
	}
	if err != nil {
		return wrap(err, "warm up")
	}
	if len(usual) == 0 {
		return &undecidedError{fmt.Sprintf("the control answers none of the workload's requests well (%s)", cmp.Or(why, "it was sent none"))}
	}
	for _, bank := range panels {
		bank.Usual(usual)
	}
	return nil
}

// goodLatencies are those of the good answers of a warm-up, in seconds.
func goodLatencies(r twin.Report) []float64 {
	var out []float64
	for _, a := range r.Answers {
		if r.Phase == twin.LoadWarmUp && !a.Failed {
			out = append(out, a.Took().Seconds())
		}
	}
	return out
}

// follow takes what the loads of both twins report, until ctx ends. It tells of a load
// program that has failed.
func follow(ctx context.Context, w *load, p *pair, arms []*arm, failed chan<- error) {
	var group errgroup.Group
	for i, m := range p.arms {
		group.Go(func() error {
			ticker := time.NewTicker(sampleInterval)
			defer ticker.Stop()
			for {
				reports, err := m.inside.read(ctx)
				if err != nil {
					reports = nil // Nomad is away; the next call reads on from the same place
				}
				if why := m.failed(); why != nil {
					failed <- why
					return nil
				}
				for _, r := range reports {
					counted := arms[i].reported(r)
					if m == p.treatment() { // both loads send the same
						w.answered(counted...)
					}
				}
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return nil
				}
			}
		})
	}
	_ = group.Wait() // the goroutines return no errors
}

// reported takes one line of a load's report, and returns the requests in it that count.
func (a *arm) reported(r twin.Report) (counted []int) {
	if r.Phase != twin.LoadRunning {
		return nil
	}
	for _, answer := range r.Answers {
		if a.answered(answer.Took(), answer.Failed) {
			counted = append(counted, answer.Request)
		}
	}
	return counted
}

// namedMost is how many of the things that twins go without, or are given, a reason names.
const namedMost = 8

// goesWithout says what the twins went without that production has, or "".
func (p *pair) goesWithout() string {
	lacks := slices.Concat(p.control().Lacks, p.control().state.Lacks)
	if len(lacks) == 0 {
		return ""
	}
	return "the twins went without " + named(lacks)
}

func named(names []string) string {
	text := strings.Join(names[:min(len(names), namedMost)], ", ")
	if more := len(names) - namedMost; more > 0 {
		text += fmt.Sprintf(", and %d more", more)
	}
	return text
}
