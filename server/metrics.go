package server

import (
	"fmt"
	"sync"
	"time"

	gometrics "github.com/hashicorp/go-metrics/compat"
	sink "github.com/hashicorp/go-metrics/compat/prometheus"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/oakumhq/oakum/api"
)

// raftExpiration is how long a metric of Raft is shown after its last change. A
// server that leads no more must not show a leader's gauges for ever.
const raftExpiration = time.Minute

// raftMetrics collects Raft's metrics as oakum_raft_... Raft writes to a sink that
// the whole process shares, so every server of a process, as tests have several,
// shows the same.
var raftMetrics = sync.OnceValues(func() (prometheus.Collector, error) { //nolint:gochecknoglobals // so is Raft's sink
	to, err := sink.NewPrometheusSinkFrom(sink.PrometheusOpts{
		Registerer: prometheus.NewRegistry(), Expiration: raftExpiration, Name: "oakum_raft", // every server registers the sink itself
	})
	if err != nil {
		return nil, fmt.Errorf("register raft's metrics: %w", err)
	}
	config := gometrics.DefaultConfig("oakum")
	config.EnableHostname, config.EnableRuntimeMetrics = false, false // Prometheus knows the host, and Go's own collector the rest
	if _, err := gometrics.NewGlobal(config, to); err != nil {
		return nil, fmt.Errorf("register raft's metrics: %w", err)
	}
	return to, nil
})

// gauges collects the server's own metrics, when they are asked for.
type gauges struct {
	server *Server

	leader, index, level, lag, contact   *prometheus.Desc
	rollouts, intents, oldest, brake     *prometheus.Desc
	healthy, tolerance, divergent, peers *prometheus.Desc
	control, alarms, distrusted          *prometheus.Desc
}

var _ prometheus.Collector = (*gauges)(nil)

func newGauges(s *Server) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("oakum_"+name, help, labels, nil)
	}
	return &gauges{
		server:    s,
		leader:    desc("leader", "Whether this server leads."),
		index:     desc("state_index", "Log index of the last change of this server's state."),
		level:     desc("state_level", "Cluster level."),
		lag:       desc("state_lag", "Committed log entries that this server has not applied yet."),
		contact:   desc("last_contact_seconds", "How long ago this server heard of a leader; 0 on the leader, absent when it never did."),
		rollouts:  desc("rollouts_open", "Rollouts that have not ended.", "status"),
		intents:   desc("effects_open", "Effects that were announced and whose outcome is not known yet."),
		oldest:    desc("effect_oldest_seconds", "How long ago the oldest open effect was announced; 0 when none is open."),
		brake:     desc("brake", "Whether the brake is on, so that nothing goes forward."),
		healthy:   desc("autopilot_healthy", "Whether every server is healthy; on the leader only."),
		tolerance: desc("autopilot_failure_tolerance", "Voters that may be lost without an outage; on the leader only."),
		divergent: desc("state_divergence", "Servers whose state differs from the leader's at the same index; on the leader only."),
		peers:     desc("server_healthy", "Whether a server is healthy; on the leader only.", "server"),

		control:    desc("judge_control_runs", "Judgements of stable instances against each other that ended, an hour each, over all targets.", "kpi"),
		alarms:     desc("judge_control_alarms", "Those of them that aborted, each a false alarm.", "kpi"),
		distrusted: desc("judge_distrusted", "Targets whose KPI is left out of judgements because of its false alarms.", "kpi"),
	}
}

// Describe lists the gauges.
func (g *gauges) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		g.leader, g.index, g.level, g.lag, g.contact, g.rollouts, g.intents, g.oldest, g.brake, g.healthy, g.tolerance, g.divergent, g.peers,
		g.control, g.alarms, g.distrusted,
	} {
		to <- d
	}
}

// Collect reads them.
func (g *gauges) Collect(to chan<- prometheus.Metric) {
	set := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	node, store := g.server.node, g.server.store
	set(g.leader, boolGauge(node.IsLeader()))
	set(g.index, float64(store.Index()))
	set(g.level, float64(store.Level()))
	set(g.lag, float64(node.Lag()))
	if contact := node.SinceContact(); contact >= 0 {
		set(g.contact, contact.Seconds())
	}
	set(g.brake, boolGauge(store.Brake().On))
	g.collectRollouts(set)
	g.collectControls(set)
	seen, err := node.Autopilot()
	if err != nil {
		return // the rest is known to the leader only
	}
	set(g.healthy, boolGauge(seen.Healthy))
	set(g.tolerance, float64(seen.FailureTolerance))
	set(g.divergent, float64(len(seen.Divergent)))
	for _, p := range seen.Servers {
		set(g.peers, boolGauge(p.Healthy != nil && *p.Healthy), p.ID)
	}
}

func (g *gauges) collectRollouts(set func(*prometheus.Desc, float64, ...string)) {
	counts := map[api.RolloutStatus]int{}
	for _, s := range []api.RolloutStatus{
		api.RolloutPending, api.RolloutSimulating, api.RolloutAwaitingApproval, api.RolloutWaiting, api.RolloutRunning,
		api.RolloutPaused, api.RolloutHolding, api.RolloutRollingBack,
	} {
		counts[s] = 0 // a status that nothing has is 0, not absent
	}
	open, oldest, now := 0, time.Duration(0), time.Now()
	for _, r := range g.server.store.OpenRollouts() {
		counts[r.Status]++
		if r.Effect != nil {
			open++
			oldest = max(oldest, now.Sub(r.Effect.Intended))
		}
	}
	for status, n := range counts {
		set(g.rollouts, float64(n), string(status))
	}
	set(g.intents, float64(open))
	set(g.oldest, oldest.Seconds())
}

// collectControls counts how often the judge gave a false alarm, by the recorded
// profiles: it judges stable instances against each other, where nothing differs.
func (g *gauges) collectControls(set func(*prometheus.Desc, float64, ...string)) {
	type sum struct{ runs, alarms, distrusted int }
	sums := map[string]sum{}
	for _, profile := range g.server.store.Profiles() {
		for _, k := range profile.KPIs {
			s := sums[k.KPI]
			s.runs += k.ControlRuns
			s.alarms += k.ControlAlarms
			if k.Distrust != "" {
				s.distrusted++
			}
			sums[k.KPI] = s
		}
	}
	for kpi, s := range sums {
		set(g.control, float64(s.runs), kpi)
		set(g.alarms, float64(s.alarms), kpi)
		set(g.distrusted, float64(s.distrusted), kpi)
	}
}

func boolGauge(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
