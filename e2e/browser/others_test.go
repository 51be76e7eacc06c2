//go:build e2e

package browser_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/server/ui"
)

// others are the pages about the fleet.
func (b *tab) others() {
	b.t.Helper()
	b.show("/ui/fleet")
	b.says("table.fleet th", "store")
	b.looks("fleet")
	b.run(chromedp.SetValue("#q", "qemu"), chromedp.Submit("#q"))
	b.until("document.querySelectorAll('table.fleet tbody tr').length === 1")
	b.show("/ui/graph")
	b.until("document.getElementById('cy').dataset.ready > 30")
	b.looks("graph")
	b.run(chromedp.SetValue("#q", "store"), chromedp.Submit("#q"))
	b.says("#one", "store")
	b.until("document.getElementById('cy').dataset.ready > 30")
	b.says(".evidence", "observed by")
	b.looks("graph-store")
	b.run(chromedp.Click(".edges a"))
	b.until("!location.search.includes('service=store') && document.getElementById('one').dataset.service !== 'store'")
	b.run(chromedp.NavigateBack())
	b.says("#one", "store")
}

// large is an API with a graph of many services, and nothing else.
func large(services int) http.Handler {
	g := api.Graph{}
	name := func(i int) string { return fmt.Sprintf("svc-%04d", i) }
	layer := services / 5
	for i := range services {
		ref := api.TargetRef{Namespace: "default", Job: name(i), Group: name(i)}
		g.Services = append(g.Services, api.Service{Name: name(i), Instances: 3, Healthy: 3, Targets: []api.TargetRef{ref}})
		g.Targets = append(g.Targets, api.TargetView{Target: api.Target{TargetRef: ref, Count: 3, Driver: "docker"}, Why: "no rule makes it critical"})
		g.Criticality = append(g.Criticality, api.Criticality{Service: name(i), Score: float64(i) / float64(services)})
		for k := range 2 {
			if to := i + layer - i%7 + k*13; to < services {
				g.Edges = append(g.Edges, api.Edge{From: name(i), To: name(to), State: api.EdgeConfirmed})
			}
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out any
		switch r.URL.Path {
		case "/v1/agent/self":
			out = api.AgentSelf{Server: "a", AuthOff: true}
		case "/v1/health":
			out = api.HealthReport{Ready: true, Leader: "a"}
		case "/v1/graph":
			out = g
		case "/v1/graph/impact/svc-0007":
			out = api.GraphImpact{Service: "svc-0007", Certain: []string{"svc-0001", "svc-0002"}}
		case "/v1/event/stream":
			<-r.Context().Done()
			return
		default:
			out = []string{}
		}
		_ = json.NewEncoder(w).Encode(out)
	})
}

// TestGraph_OfTwoThousandServices draws as many as a region has.
func TestGraph_OfTwoThousandServices(t *testing.T) {
	page, err := ui.New(nil)
	must.NoError(t, err)
	const services = 2000
	web := httptest.NewServer(page(large(services)))
	t.Cleanup(web.Close)
	b := open(chrome(t), t, web.URL)
	b.show("/ui/graph?service=svc-0007")
	b.until(fmt.Sprintf("document.getElementById('cy').dataset.ready === '%d'", services))
	var took string
	b.run(chromedp.Evaluate("document.getElementById('cy').dataset.took", &took))
	t.Logf("%d services were laid out and drawn in %s ms", services, took)
	b.looks("graph-large")
	b.clean()
}
