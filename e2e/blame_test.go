//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	consulapi "github.com/hashicorp/consul/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/examples/shop/deploy"
)

// neighbours patches services of the example application whose own figures stay
// well while something else tells that the patch is bad.
func (o *oakum) neighbours(shop deploy.Env) {
	t := o.t
	o.does(o.pipeline, "policy", "apply", o.file("neighbours.hcl", neighbourPolicies))
	defer o.does(o.pipeline, "policy", "delete", "neighbours")
	t.Run("a patch that calls what is denied turns back", func(t *testing.T) { o.in(t).denied(shop) })
	t.Run("a patch that hurts only its caller is not promoted", func(t *testing.T) { o.in(t).garbage(shop) })
}

// neighbourPolicies let the backoffice turn back for nothing but a denied call, and judge
// it until the call shows, however long telemetry takes on a busy machine. They judge the
// cart, which its errors alone would clear in half a minute, until its caller's minute
// shows.
const neighbourPolicies = `policy "backoffice" {
  applies = target.job == "backoffice"
  judge {
    min_duration = "15m"
    max_duration = "20m" # of the stage, however long nothing is clear
  }
  rollback {
    on = ["denied"]
  }
}

policy "cart" {
  applies = target.job == "cart"
  judge {
    min_duration    = "1m"
    max_duration    = "3m"
    on_inconclusive = "rollback"
    kpi "error_rate" {
      abort_above   = "1.5x"
      promote_below = "3x"
      ignore_below  = 0.05
    }
  }
}
`

// value asks Prometheus for one number; 0 when there is none.
func value(t *testing.T, shop deploy.Env, query string) float64 {
	t.Helper()
	series, err := deploy.Query(t.Context(), shop, query)
	must.NoError(t, err)
	if len(series) == 0 {
		return 0
	}
	must.Len(t, 1, series)
	return series[0].Value
}

// denied adds an upstream to the backoffice that no intention allows.
func (o *oakum) denied(shop deploy.Env) {
	consul, err := consulapi.NewClient(&consulapi.Config{Address: strings.TrimPrefix(shop.ConsulAddr, "http://"), Token: shop.ConsulToken})
	must.NoError(o.t, err)
	allowed, _, err := consul.Connect().IntentionCheck(&consulapi.IntentionCheck{Source: "backoffice", Destination: "pricing"}, nil)
	must.NoError(o.t, err)
	must.False(o.t, allowed)
	edges := 0
	eventually(o.t, "the graph of the shop", 2*time.Minute, func() bool {
		var g api.Graph
		res := o.Oakum(o.t.Context(), o.pipeline, "graph", "show", "-json")
		if res.Code != 0 || json.Unmarshal([]byte(res.Stdout), &g) != nil {
			return false
		}
		edges = 0
		for _, e := range g.Edges {
			if e.State == api.EdgeConfirmed {
				edges++
			}
		}
		return edges == len(deploy.Edges())
	})
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must.NoError(o.t, err)
	port := free.Addr().(*net.TCPAddr).Port
	must.NoError(o.t, free.Close())
	former := o.spec("backoffice")
	id := o.submit(o.patchOf("backoffice-2.0", "backoffice", fmt.Sprintf(`  apply "job" {
    task = "server"
    env = {
      SHOP_VERSION   = "2.0"
      SHOP_UPSTREAMS = "catalog=http://127.0.0.1:$${NOMAD_PORT_up_catalog},pricing=http://127.0.0.1:%[1]d"
    }
  }
  apply "job" {
    task = "proxy"
    env = {
      SHOP_UPSTREAMS = "catalog=$${NOMAD_PORT_up_catalog},pricing=%[1]d"
    }
  }
`, port)))
	began := time.Now()
	r := o.until(id, func(r api.Rollout) bool { return r.Status == api.RolloutRollingBack || r.Status.Ended() })
	o.t.Logf("turned back after %s: %s", time.Since(began).Round(time.Second), r.Reason)
	must.StrContains(o.t, r.Reason, "backoffice tries to reach pricing since ")
	must.StrContains(o.t, r.Reason, "after the patch, and is refused: ")
	must.Len(o.t, 1, r.Stages)
	for _, metric := range []string{"rx", "tx"} {
		series, err := deploy.Query(o.t.Context(), shop, `consul_proxy_upstream_`+metric+`_bytes{src="backoffice",dst="pricing"}`)
		must.NoError(o.t, err)
		o.t.Logf("%s of the pair: %v", metric, series)
	}
	must.Positive(o.t, value(o.t, shop, `sum(increase(consul_proxy_upstream_rx_bytes{src="backoffice",dst="pricing"}[5m]))`), must.Sprint("it was sent"))
	must.Zero(o.t, value(o.t, shop, `sum(increase(consul_proxy_upstream_tx_bytes{src="backoffice",dst="pricing"}[5m]))`), must.Sprint("and refused"))
	r = o.ended(id, api.RolloutRolledBack)
	must.False(o.t, r.Stages[0].Promoted)
	must.Eq(o.t, former, o.spec("backoffice"))
	eventually(o.t, "one former instance", time.Minute, func() bool {
		found := o.shopVersions("backoffice")
		return len(found) == 1 && found["1.0"] == 1
	})
}

func frontFails(e api.NeighbourEffect) bool {
	return e.Target.Job == "front" && e.KPI == api.KPIErrorRate
}

// garbage patches the cart so that it answers at once, as if well, with what the
// front cannot read.
func (o *oakum) garbage(shop deploy.Env) {
	const (
		frontErrors = `sum(rate(http_requests_total{service="front",code=~"5.."}[20s])) / sum(rate(http_requests_total{service="front"}[20s]))`
		cartErrors  = `sum(rate(http_requests_total{service="cart",code=~"5.."}[20s])) / sum(rate(http_requests_total{service="cart"}[20s]))`
	)
	var p api.Profile
	errorRate := func() (api.Baseline, bool) {
		res := o.Oakum(o.t.Context(), o.pipeline, "profile", "read", "-json", "default/front/front")
		if res.Code != 0 || json.Unmarshal([]byte(res.Stdout), &p) != nil {
			return api.Baseline{}, false
		}
		for _, b := range p.KPIs {
			if b.KPI == api.KPIErrorRate {
				return b, true
			}
		}
		return api.Baseline{}, false
	}
	eventually(o.t, "the profile of front is warm", 6*time.Minute, func() bool {
		b, ok := errorRate()
		return ok && b.Samples > 100 // eight recent figures
	})
	was, _ := errorRate()
	former := o.spec("cart")
	id := o.submit(o.patchOf("cart-2.1", "cart", setEnv("server", `SHOP_VERSION = "2.1", SHOP_FAULTS = "garbage=1"`)))
	r := o.until(id, func(r api.Rollout) bool {
		return r.Status.Ended() || r.Verdict != nil && strings.Contains(r.Reason, "waits until it is over") && slices.ContainsFunc(r.Verdict.Neighbours, frontFails)
	})
	must.Eq(o.t, api.RolloutRunning, r.Status, must.Sprint(r.Reason))
	o.t.Log(r.Reason)
	must.StrContains(o.t, r.Reason, "which this rollout explains best") // on a busy machine other figures get worse too, and come first
	must.Eq(o.t, api.VerdictContinue, r.Verdict.Kind)
	must.Greater(o.t, 0.05, value(o.t, shop, frontErrors), must.Sprint("the caller suffers"))
	eventually(o.t, "the patched service is well by itself, once it has started", time.Minute, func() bool { return value(o.t, shop, cartErrors) < 0.01 })

	r = o.ended(id, api.RolloutRolledBack)
	o.t.Log(r.Reason)
	must.StrContains(o.t, r.Reason, "stayed undecided: ")
	must.True(o.t, slices.ContainsFunc(r.Verdict.Neighbours, frontFails), must.Sprintf("%+v", r.Verdict.Neighbours))
	must.True(o.t, r.Stages[0].Judged.IsZero(), must.Sprint("it was never promoted"))
	must.Eq(o.t, former, o.spec("cart"))
	eventually(o.t, "the front is well again", time.Minute, func() bool { return value(o.t, shop, frontErrors) == 0 })
	now, ok := errorRate()
	must.True(o.t, ok)
	o.t.Logf("the baseline of front: mean error rate %.4f, and %.4f before", now.Mean, was.Mean)
	must.Less(o.t, 0.05, now.Mean, must.Sprint("its baseline did not learn the bad time"))
}
