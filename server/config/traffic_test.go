package config_test

import (
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/prometheus"
	"github.com/oakumhq/oakum/server/config"
)

func TestMapperBlock(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full+`
mapper {
  keep_observed  = "8760h"
  stale_after    = "720h"
  half_life      = "24h"
  away_after     = "2m"
  away_tries     = 5
  min_bytes      = 10
  ignore         = ["consul"]
  ignore_ends    = ["10.0.0.0/8"]
  load_balancers = ["haproxy"]
  rack           = "cage"

  traffic "mesh" { kind = "envoy" }

  traffic "haproxy" {
    from     = "frontend"
    to       = "backend"
    mesh     = false
    requests = "sum by (frontend, backend) (rate(haproxy_requests_total[$window]))"
  }
}
`)}, false, environment)
	must.NoError(t, err)
	must.Eq(t, config.Mapper{
		KeepObserved: 365 * 24 * time.Hour, StaleAfter: 30 * 24 * time.Hour, HalfLife: 24 * time.Hour, AwayAfter: 2 * time.Minute, AwayTries: 5, MinBytes: 10,
		Ignore: []string{"consul"}, IgnoreEnds: []string{"10.0.0.0/8"}, LoadBalancers: []string{"haproxy"}, Rack: "cage",
		Traffic: []config.Traffic{
			{Name: "mesh", Kind: "envoy", Mesh: true},
			{Name: "haproxy", Kind: config.KindCustom, From: "frontend", To: "backend", Queries: map[prometheus.Measure]string{
				prometheus.Requests: "sum by (frontend, backend) (rate(haproxy_requests_total[$window]))"}},
		},
	}, c.Mapper)
	for _, traffic := range c.Mapper.Traffic {
		_, err := traffic.Family()
		must.NoError(t, err)
	}
}

func TestMapperBlockProblemsAreFoundAtLoad(t *testing.T) {
	t.Parallel()
	for block, text := range map[string]string{
		`traffic "x" { kind = "istio" }`: `no kind of traffic metrics "istio"`,
		`traffic "x" { from = "a" }`:     "want the labels",
		"traffic \"x\" {\n from = \"a\"\n to = \"b\"\n bytes = \"sum by (a) (y)\"\n}": `drops the label "b"`,
		"traffic \"x\" {\n from = \"a\"\n to = \"b\"\n bytes = \"sum by (\"\n}":       "mapper.traffic.x.bytes: 1:9: unclosed left parenthesis",
		"traffic \"x\" {\n kind = \"envoy\"\n bytes = \"y\"\n}":                       "brings its own",
		`keep_observed = "9000h"`:                     "at most 366 days",
		`ignore_ends = ["10.0.0.0/33"]`:               "no range of addresses",
		`stale_after = "-1h"`:                         "no negative values",
		`away_tries = -1`:                             "no negative values",
		"load_balancers = [\"a\"]\n ignore = [\"a\"]": "ignored as well",
	} {
		_, err := config.Load([]string{write(t, t.TempDir(), "agent.hcl", full+"mapper {\n"+block+"\n}\n")}, false, environment)
		must.Error(t, err, must.Sprint(block))
		must.StrContains(t, describe(err), text)
	}
}

// describe is an error with its details.
func describe(err error) string {
	e := api.AsError(err)
	out := e.Message
	for _, d := range e.Details {
		out += "\n" + d
	}
	return out
}
