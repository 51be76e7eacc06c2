package config

import (
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/oakumhq/oakum/internal/discover"
)

// Autopilot is what the first leader of a new cluster starts autopilot with.
// From then on the cluster keeps the values; `oakum operator autopilot set`
// changes them.
type Autopilot struct {
	CleanupDeadServers      bool
	DeadServerThreshold     time.Duration // silent for this long, a server is dead
	LastContactThreshold    time.Duration
	MaxTrailingLogs         int
	MinQuorum               int
	ServerStabilizationTime time.Duration
}

// defaultAutopilot keeps at least three voters. It removes a silent server only
// after longer than a restart takes.
func defaultAutopilot() Autopilot {
	return Autopilot{
		CleanupDeadServers: true, DeadServerThreshold: time.Hour, LastContactThreshold: 2 * time.Second,
		MaxTrailingLogs: 250, MinQuorum: 3, ServerStabilizationTime: 10 * time.Second,
	}
}

type autopilotBlock struct {
	CleanupDeadServers      *hcl.Attribute `hcl:"cleanup_dead_servers,optional"`
	DeadServerThreshold     *hcl.Attribute `hcl:"dead_server_threshold,optional"`
	LastContactThreshold    *hcl.Attribute `hcl:"last_contact_threshold,optional"`
	MaxTrailingLogs         *hcl.Attribute `hcl:"max_trailing_logs,optional"`
	MinQuorum               *hcl.Attribute `hcl:"min_quorum,optional"`
	ServerStabilizationTime *hcl.Attribute `hcl:"server_stabilization_time,optional"`
}

func (l *loader) autopilot(b *autopilotBlock) {
	a := &l.cfg.Autopilot
	l.flag(b.CleanupDeadServers, &a.CleanupDeadServers)
	l.duration(b.DeadServerThreshold, &a.DeadServerThreshold)
	l.duration(b.LastContactThreshold, &a.LastContactThreshold)
	l.integer(b.MaxTrailingLogs, &a.MaxTrailingLogs)
	l.integer(b.MinQuorum, &a.MinQuorum)
	l.duration(b.ServerStabilizationTime, &a.ServerStabilizationTime)
}

// checkGrowth looks at what lets a cluster form, grow and shrink.
func (l *loader) checkGrowth() {
	a := l.cfg.Autopilot
	if a.DeadServerThreshold < time.Minute {
		l.problem("autopilot.dead_server_threshold", "want at least 1m, have %s: a server that restarts is not dead", a.DeadServerThreshold)
	}
	if a.LastContactThreshold <= 0 {
		l.problem("autopilot.last_contact_threshold", "want more than 0, have %s", a.LastContactThreshold)
	}
	if a.MaxTrailingLogs <= 0 {
		l.problem("autopilot.max_trailing_logs", "want more than 0, have %d", a.MaxTrailingLogs)
	}
	if a.MinQuorum < 0 {
		l.problem("autopilot.min_quorum", "want 0 or more, have %d", a.MinQuorum)
	}
	if a.ServerStabilizationTime < 0 {
		l.problem("autopilot.server_stabilization_time", "want 0 or more, have %s", a.ServerStabilizationTime)
	}
	if s := l.cfg.Server; s.NonVoter && s.BootstrapExpect > 0 {
		l.problem("server.non_voter", "want false with bootstrap_expect = %d: a server that bootstraps a cluster votes in it", s.BootstrapExpect)
	}
	for _, entry := range l.cfg.Server.RetryJoin {
		if err := discover.Check(entry); err != nil {
			l.problem("server.retry_join", "%s", err)
		}
	}
	c := l.cfg.Consul
	if c != nil && c.Register && c.ServiceName == "" {
		l.problem("consul.service_name", "want the name of the service that this server registers itself as")
	}
	asks := func(entry string) bool { return strings.HasPrefix(entry, "provider=consul") }
	if c == nil && slices.ContainsFunc(l.cfg.Server.RetryJoin, asks) {
		l.problem("consul", "want a consul block: server.retry_join asks Consul who is there")
	}
}
