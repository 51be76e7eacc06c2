package rehearsal

import (
	"context"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/orchestrator"
	"github.com/oakumhq/oakum/plugins/host"
)

const (
	// seedsMost bounds a rehearsal. So many plays know a share to one percent.
	seedsMost = 10_000
	// DefaultSeeds is enough to know a share to about ten percent.
	DefaultSeeds = 100
	// DefaultPeople is how long a person takes to answer.
	DefaultPeople = time.Hour
	// DefaultHealthy is how long an instance takes to become healthy where no
	// time was recorded.
	DefaultHealthy = 30 * time.Second
	// defaultTick is the orchestrator's interval where the facts do not contain
	// it.
	defaultTick = time.Second
)

// Options are the assumptions of a rehearsal. Zero values mean the defaults.
type Options struct {
	Seeds    int
	Seed     uint64           // the first
	At       time.Time        // when the plan begins; zero is when the facts were taken
	People   time.Duration    // until a person answers
	Healthy  time.Duration    // until an instance is healthy where none was ever seen
	Policies []api.SourceFile // instead of those of the same names, or beside them
	// Plugins asks the strategies that are not built in; nil when there are none.
	Plugins Strategies

	// Only are the targets that are played, of those that the patch is for; empty for all.
	Only []api.TargetRef
	// Harmless leaves out the plays of bad patches.
	Harmless bool

	inline host.Inline
}

// Strategies asks strategy plugins for advice.
type Strategies interface {
	orchestrator.Adviser
	Schema(name string) (api.ConfigSchema, bool)
}

// schema is the schema of a strategy's policy block.
func (o Options) schema(strategy string) (api.ConfigSchema, bool) {
	if schema, ok := o.inline.Schema(strategy); ok || o.Plugins == nil {
		return schema, ok
	}
	return o.Plugins.Schema(strategy)
}

// Advise asks a strategy, built in or not, what comes next.
func (o Options) Advise(ctx context.Context, strategy string, view api.StrategyView) (api.Advice, error) {
	if _, ok := o.inline.Schema(strategy); ok {
		return o.inline.Advise(ctx, strategy, view)
	}
	return o.Plugins.Advise(ctx, strategy, view)
}

// Collect is the value of GOGC for a process that only rehearses. Plays are small
// and many, and this value saves a quarter of their time.
const Collect = 400

// Run rehearses a patch. A plan without waves is no error: its report has
// refusals.
func Run(ctx context.Context, facts api.FleetFacts, patch api.Patch, o Options) (api.Rehearsal, error) {
	if o.Seeds == 0 {
		o.Seeds = DefaultSeeds
	}
	if o.Seeds < 0 || o.Seeds > seedsMost {
		return api.Rehearsal{}, api.Errorf(api.CodeInvalid, "rehearse %s: %d seeds, want 1 to %d", patch.Name, o.Seeds, seedsMost)
	}
	if o.At.IsZero() {
		o.At = facts.At
	}
	o.At = o.At.UTC()
	o.People, o.Healthy = orElse(o.People, DefaultPeople), orElse(o.Healthy, DefaultHealthy)
	if facts.Tick <= 0 {
		facts.Tick = api.Duration(defaultTick)
	}
	o.inline = host.NewInline()
	s, err := newScene(facts, patch, o)
	if err != nil {
		return api.Rehearsal{}, err
	}
	results := make([][]result, len(s.behaviours))
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(runtime.GOMAXPROCS(0))
	for which := range s.behaviours {
		results[which] = make([]result, o.Seeds)
		for i := range o.Seeds {
			work.Go(func() error {
				p := newPlay(ctx, s, o.Seed+uint64(i), which)
				if err := p.run(); err != nil {
					return err
				}
				results[which][i] = p.result()
				return nil
			})
		}
	}
	if err := work.Wait(); err != nil {
		return api.Rehearsal{}, err
	}
	return s.report(results), nil
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d <= 0 {
		return otherwise
	}
	return d
}

// result is what the report needs of one play.
type result struct {
	starts, ends []time.Duration // by wave, since the plan began; negative: it never did
	over         time.Duration   // the last rollout ended; negative: not all have
	complete     int             // rollouts that completed without a person's word on a hold
	turned       int             // that turned back
	held         int
	rollouts     int
	back         bool          // a rollout turned back, by itself or by a person's word
	after        time.Duration // from the first healthy patched instance until then; negative: there was none, or none turned back
	instances    float64
	targets      float64
	requests     float64
	reasons      []string            // why rollouts turned back, once each
	approvals    map[string][]string // by what is asked for: targets
	holds        map[string][]string // by why: targets
}

// result sums up a play.
func (p *play) result() result {
	out := result{over: -1, after: -1, rollouts: len(p.parts), approvals: map[string][]string{}, holds: map[string][]string{}}
	out.starts, out.ends = make([]time.Duration, len(p.plan.Waves)), make([]time.Duration, len(p.plan.Waves))
	for i := range out.starts {
		out.starts[i] = -1
	}
	var first, turned time.Time
	for _, at := range p.parts {
		r, wave := p.rollout(at), at.wave-1
		t := &at.tally
		if !t.started.IsZero() {
			if d := t.started.Sub(p.opt.At); out.starts[wave] < 0 || d < out.starts[wave] {
				out.starts[wave] = d
			}
		}
		switch {
		case !r.Status.Ended():
			out.ends[wave] = -1
		case out.ends[wave] >= 0:
			out.ends[wave] = max(out.ends[wave], r.Ended.Sub(p.opt.At))
		}
		first, turned = earlier(first, t.first), earlier(turned, t.turned)
		out.tally(at, r)
	}
	if !slices.Contains(out.ends, -1) && len(out.ends) > 0 {
		out.over = slices.Max(out.ends)
	}
	out.back = !turned.IsZero()
	if !first.IsZero() && out.back {
		out.after = max(turned.Sub(first), 0)
	}
	slices.Sort(out.reasons)
	out.reasons = slices.Compact(out.reasons)
	return out
}

// tally adds one rollout to a result.
func (out *result) tally(at *part, r *api.Rollout) {
	t, target := &at.tally, at.planned.Target.String()
	if at.site != nil && len(at.site.reached) > 0 {
		out.targets++
		out.instances += float64(len(at.site.reached))
		out.requests += t.requests
	}
	if t.approved != "" {
		out.approvals[t.approved] = append(out.approvals[t.approved], target)
	}
	if t.why != "" {
		out.reasons = append(out.reasons, t.why)
	}
	switch {
	case t.held != "":
		out.held++
		out.holds[t.held] = append(out.holds[t.held], target)
	case !t.turned.IsZero():
		out.turned++
	case r.Status == api.RolloutComplete:
		out.complete++
	}
}

// earlier is the earlier of two times. A zero time is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
