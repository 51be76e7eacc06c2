package server

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/wait"
)

func TestOutcomes_CountWhatRolloutsCameTo(t *testing.T) {
	t.Parallel()
	at := func(minutes int) time.Time { return time.Unix(0, 0).Add(time.Duration(minutes) * time.Minute) }
	abort := &api.Verdict{Kind: api.VerdictAbort}
	o := newOutcomes()
	asked := api.Rollout{Status: api.RolloutAwaitingApproval, Created: at(0), Since: at(1)}
	running := api.Rollout{Status: api.RolloutRunning, Created: at(0), Since: at(31)}
	back := api.Rollout{Status: api.RolloutRollingBack, Created: at(0), Since: at(40)}
	judged := back
	judged.Verdict = abort
	done := api.Rollout{Status: api.RolloutRolledBack, Created: at(0), Since: at(42), Ended: at(42)}

	o.moved("rollout_running", asked, running)
	o.moved("look", running, running) // it has not moved
	o.moved("rollout_rolling_back", running, judged)
	o.moved("rollout_rolling_back", running, back)
	o.moved("abort", running, judged) // a person said so, whatever the judge had said before
	o.moved("rollout_rolled_back", back, done)

	must.EqOp(t, 1800, testutil.ToFloat64(o.spent.WithLabelValues("awaiting_approval")))
	must.EqOp(t, 3*540, testutil.ToFloat64(o.spent.WithLabelValues("running")))
	must.EqOp(t, 120, testutil.ToFloat64(o.spent.WithLabelValues("rolling_back")))
	for _, c := range []string{causeVerdict, causePerson, causeInstances} {
		must.EqOp(t, 1, testutil.ToFloat64(o.wentOff.WithLabelValues(c)), must.Sprint(c))
	}
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	registry.MustRegister(o.collectors()...)
	must.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP oakum_rollbacks_total Rollbacks that began, by cause: a verdict, a person, or instances that were lost, unhealthy or late.
# TYPE oakum_rollbacks_total counter
oakum_rollbacks_total{cause="instances"} 1
oakum_rollbacks_total{cause="person"} 1
oakum_rollbacks_total{cause="verdict"} 1
`), "oakum_rollbacks_total"), must.Sprint(out.String()))
	n, err := testutil.GatherAndCount(registry, "oakum_rollout_seconds")
	must.NoError(t, err)
	must.EqOp(t, 5, n, must.Sprint("one for each status that a rollout ends with, from the start"))
}

func TestServer_CountsAPersonsRollback(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	fill(t, s)
	_, _, stderr := oakum(t, s, "rollout", "rollback", "p-0")
	must.EqOp(t, "", stderr)
	metrics := scrape(t, s)
	must.StrContains(t, metrics, `oakum_rollbacks_total{cause="person"} 1`)
	must.StrContains(t, metrics, `oakum_rollout_status_seconds_total{status="paused"} `)
}

func scrape(t *testing.T, s *Server) string {
	t.Helper()
	c, err := client.New(client.Config{Address: "http://" + s.Address()})
	must.NoError(t, err)
	defer c.Close()
	var out bytes.Buffer
	must.NoError(t, c.Metrics(t.Context(), &out))
	return out.String()
}

// Every query of the shipped rules and of the dashboard is one that Prometheus takes,
// and asks for metrics that a server shows.
func TestMonitoring_AsksForWhatServersShow(t *testing.T) {
	t.Parallel()
	s := dev(t, nil)
	fill(t, s)
	wait.For(t, "autopilot's first look", func() bool {
		all, err := s.node.Autopilot()
		return err == nil && all.Healthy
	})
	scrape(t, s) // the first request, for what requests take
	served := scrape(t, s)
	shows := func(name string) bool { return regexp.MustCompile(`(?m)^` + name + `[ {]`).MatchString(served) }
	// These are shown once the judge has judged.
	later := regexp.MustCompile(`^oakum_judge_`)

	file, err := os.ReadFile("../examples/monitoring/oakum.rules.yml")
	must.NoError(t, err)
	queries := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.Parse(file, false, model.UTF8Validation, queries, slog.New(slog.DiscardHandler))
	must.SliceEmpty(t, errs)
	asked := map[string]string{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			asked[r.Alert+r.Record] = r.Expr
		}
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	file, err = os.ReadFile("../examples/monitoring/dashboard.json")
	must.NoError(t, err)
	must.NoError(t, json.Unmarshal(file, &dashboard))
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			asked[p.Title] = q.Expr
		}
	}
	must.Greater(t, 20, len(asked))
	for where, query := range asked {
		expr, err := queries.ParseExpr(query)
		must.NoError(t, err, must.Sprint(where))
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				must.True(t, shows(v.Name) || later.MatchString(v.Name), must.Sprint(where+": no server shows "+v.Name))
			}
			return nil
		})
	}
}
