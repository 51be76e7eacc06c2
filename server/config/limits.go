package config

import "github.com/hashicorp/hcl/v2"

// Limits bound what one caller takes of a server. Zero is no limit.
type Limits struct {
	HTTPMaxConnsPerClient      int // open connections of one IP address
	HTTPMaxRequestsPerIdentity int // requests that are answered at the same time, those that wait for a change included
}

// defaultLimits leaves room for a machine that runs many pipelines, and for blocking
// queries.
func defaultLimits() Limits {
	return Limits{HTTPMaxConnsPerClient: 200, HTTPMaxRequestsPerIdentity: 500}
}

type limitsBlock struct {
	Conns    *hcl.Attribute `hcl:"http_max_conns_per_client,optional"`
	Requests *hcl.Attribute `hcl:"http_max_requests_per_identity,optional"`
}

func (l *loader) limits(b *limitsBlock) {
	l.integer(b.Conns, &l.cfg.Limits.HTTPMaxConnsPerClient)
	l.integer(b.Requests, &l.cfg.Limits.HTTPMaxRequestsPerIdentity)
}

func (l *loader) checkLimits() {
	c := l.cfg.Limits
	if c.HTTPMaxConnsPerClient < 0 {
		l.problem("limits.http_max_conns_per_client", "want 0 (no limit) or more, have %d", c.HTTPMaxConnsPerClient)
	}
	if c.HTTPMaxRequestsPerIdentity < 0 {
		l.problem("limits.http_max_requests_per_identity", "want 0 (no limit) or more, have %d", c.HTTPMaxRequestsPerIdentity)
	}
}
