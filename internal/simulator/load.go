package simulator

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// metaPaths is the key of a target's metadata that has its paths, for a target whose
	// requests nobody recorded.
	metaPaths = "oakum_paths"
	// namesMost is how many requests a reason names.
	namesMost = 5
)

// load is what both twins of all pairs are sent.
type load struct {
	workload.Workload
	rate     float64 // requests a second
	seed     uint64
	sequence *workload.Sequence
	// covered says which part of the target's traffic the requests stand for that both
	// twins have answered, from 0 to 1, and what is missing. It is nil when nobody knows
	// the target's traffic.
	covered func() (share float64, missing []string)

	mu   sync.Mutex
	sent []int // to both twins, of each request
}

// newLoad makes the load of a simulation: the recorded workload, else the paths in the
// target's metadata, else its health check alone. That of a load program has no requests
// of its own.
func newLoad(r Request, check string) *load {
	if r.Spec.Program != nil {
		return &load{rate: r.rate.PerSecond} // which part of production's traffic it stands for, nobody knows
	}
	w := &load{Workload: workloadOf(r), rate: r.rate.PerSecond, seed: seed(r.ID)}
	w.covered = w.coverage
	if w.Empty() {
		// Its kind is that of the check, whatever the target speaks.
		w.Requests = []workload.Request{{Method: "GET", Path: check, Weight: 1}}
		w.covered = uncovered(r.Baseline)
	}
	w.sent = make([]int, len(w.Requests))
	w.sequence = w.Sequence(rand.New(rand.NewPCG(w.seed, 0)))
	return w
}

// choose takes the rate of the run, at most limit, and the mix of the hour that the rate is
// of. It returns that hour of the week, or -1 where the mix depends on none.
func (r *Request) choose(limit float64) (hour int) {
	r.rate = workload.RateOf(r.Baseline, r.Workload, limit)
	if r.rate.Hour < 0 || r.Spec.Program != nil {
		return -1
	}
	mix := ""
	if r.Workload, mix = r.Workload.InHour(r.rate.Hour); mix == "" {
		return -1
	}
	r.rate.Reason += "; " + mix
	return r.rate.Hour
}

// workloadOf is what is known of the target's requests: the recorded workload, else its
// paths. It is empty when nothing is.
func workloadOf(r Request) workload.Workload {
	if !r.Workload.Empty() {
		return r.Workload
	}
	return workload.Replay(r.Target.Meta[metaPaths], "")
}

// seed makes a simulation's ID decide the order of the requests.
func seed(id string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // a hash's Write has no error
	return h.Sum64()
}

// uncovered is the coverage of a health check: nothing, where production is known to have
// requests.
func uncovered(profile *api.Profile) func() (float64, []string) {
	if profile == nil || !slices.ContainsFunc(profile.KPIs, func(b api.Baseline) bool { return b.KPI == api.KPIRequests && !b.Cold && b.Mean > 0 }) {
		return nil
	}
	return func() (float64, []string) {
		return 0, []string{"all that production is asked: only the health check is known (record a workload, or name paths in " + metaPaths + ")"}
	}
}

// warming are the requests of the warm-up, in the mix of the workload.
func (w *load) warming() []int {
	s := w.Sequence(rand.New(rand.NewPCG(w.seed, 1)))
	out := make([]int, placing)
	for i := range out {
		out[i] = s.Next()
	}
	return out
}

// answered counts requests that both twins have answered. A number that is none of a
// request, in the report of a load, is nothing.
func (w *load) answered(requests ...int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range requests {
		if i >= 0 && i < len(w.sent) {
			w.sent[i]++
		}
	}
}

func (w *load) coverage() (share float64, missing []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Coverage(w.sent)
}

// names lists the first few requests.
func (w *load) names() string {
	var out []string
	for _, r := range w.Requests[:min(len(w.Requests), namesMost)] {
		out = append(out, fmt.Sprintf("%.80s", r))
	}
	if len(w.Requests) > namesMost {
		out = append(out, "...")
	}
	return strings.Join(out, ", ")
}
