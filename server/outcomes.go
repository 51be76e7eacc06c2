package server

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/cluster"
	"github.com/oakumhq/oakum/server/state"
)

// outcomes counts what rollouts came to, on the server that wrote each change as leader:
// the sum over all servers counts each once.
type outcomes struct {
	ended   *prometheus.HistogramVec
	spent   *prometheus.CounterVec
	wentOff *prometheus.CounterVec
}

func newOutcomes() outcomes {
	o := outcomes{
		ended: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "oakum_rollout_seconds",
			Help: "Time from the submission of a rollout to its end, by the status that it ended with.",
			// From a target that takes a minute to one that waited for a window a week.
			Buckets: []float64{60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 3 * 24 * 3600, 7 * 24 * 3600},
		}, []string{"status"}),
		spent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oakum_rollout_status_seconds_total",
			Help: "Time that rollouts were in a status that they have left; awaiting_approval is what waiting for people took.",
		}, []string{"status"}),
		wentOff: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oakum_rollbacks_total",
			Help: "Rollbacks that began, by cause: a verdict, a person, or instances that were lost, unhealthy or late.",
		}, []string{"cause"}),
	}
	for _, s := range []api.RolloutStatus{
		api.RolloutComplete, api.RolloutRolledBack, api.RolloutRejected, api.RolloutFailed, api.RolloutCancelled,
	} {
		o.ended.WithLabelValues(string(s)) // shown as 0 from the start: a rate needs the value before the first
	}
	for _, cause := range []string{causeVerdict, causePerson, causeInstances} {
		o.wentOff.WithLabelValues(cause)
	}
	return o
}

// Causes of rollbacks.
const (
	causeVerdict   = "verdict"
	causePerson    = "person"
	causeInstances = "instances"
)

func (o outcomes) collectors() []prometheus.Collector {
	return []prometheus.Collector{o.ended, o.spent, o.wentOff}
}

// moved counts a change of a rollout that was written.
func (o outcomes) moved(kind string, before, after api.Rollout) {
	if before.Status == after.Status {
		return
	}
	o.spent.WithLabelValues(string(before.Status)).Add(max(after.Since.Sub(before.Since), time.Duration(0)).Seconds())
	if after.Status == api.RolloutRollingBack {
		o.wentOff.WithLabelValues(cause(kind, after)).Inc()
	}
	if after.Status.Ended() {
		o.ended.WithLabelValues(string(after.Status)).Observe(max(after.Ended.Sub(after.Created), time.Duration(0)).Seconds())
	}
}

func cause(kind string, r api.Rollout) string {
	switch {
	case kind == "rollback" || kind == "abort":
		return causePerson
	case r.Verdict != nil && r.Verdict.Kind == api.VerdictAbort:
		return causeVerdict
	}
	return causeInstances
}

// counted is the log, with what its entries make of rollouts counted.
type counted struct {
	*cluster.Node

	store    *state.Store
	outcomes outcomes
}

// Apply writes a command to the log.
func (c counted) Apply(ctx context.Context, cmd state.Command, by string) (uint64, error) {
	t, ok := cmd.(*state.RolloutTransition)
	if !ok {
		return c.Node.Apply(ctx, cmd, by)
	}
	before, known := c.store.Rollout(t.Rollout.ID)
	index, err := c.Node.Apply(ctx, cmd, by)
	if err == nil && known && before.ModifyIndex == t.Expect { // else another one wrote in between, who counts
		c.outcomes.moved(t.Kind, before, t.Rollout)
	}
	return index, err
}
