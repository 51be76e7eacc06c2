package kpitest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/graph"
	"github.com/oakumhq/oakum/internal/kpi"
)

// LargeFleet is a large fleet of five instances a target. Each serves eight requests a
// second, and the crowd counts what is asked.
type LargeFleet struct {
	Places  graph.Layout
	PerTick []int // allocations in each query for requests
	Most    int   // allocations in one query
	Whole   int   // queries for the whole fleet

	began time.Time
}

var (
	_ kpi.Metrics = (*LargeFleet)(nil)
	_ kpi.Fleet   = (*LargeFleet)(nil)
)

// NewLargeFleet is a crowd of so many targets.
func NewLargeFleet(targets int) *LargeFleet {
	c := &LargeFleet{began: time.Now()}
	for t := range targets {
		ref := api.TargetRef{Namespace: "default", Job: fmt.Sprintf("job-%05d", t), Group: "web"}
		c.Places.Targets = append(c.Places.Targets, api.Target{TargetRef: ref, Count: 5})
		for i := range 5 {
			c.Places.Instances = append(c.Places.Instances, graph.Instance{ID: ID(5*t + i), Target: ref, Healthy: true})
		}
	}
	return c
}

// Layout lists the targets and their instances.
func (c *LargeFleet) Layout(context.Context) (graph.Layout, error) { return c.Places, nil }

// Query answers the query for requests of some allocations, and counts them.
func (c *LargeFleet) Query(_ context.Context, promql string, at time.Time) ([]kpi.Series, error) {
	if strings.Contains(promql, "!=") {
		c.Whole++
	}
	if !strings.Contains(promql, "http_requests_total{alloc_id=~") || strings.HasPrefix(promql, "group by") {
		return nil, nil // of the endpoints nothing is known
	}
	_, list, _ := strings.Cut(promql, `=~"`)
	list, _, _ = strings.Cut(list, `"`)
	var out []kpi.Series
	for alloc := range strings.SplitSeq(list, "|") {
		out = append(out, kpi.Series{Labels: map[string]string{"alloc_id": alloc}, Value: 8 * at.Sub(c.began).Seconds()})
	}
	c.PerTick = append(c.PerTick, len(out))
	c.Most = max(c.Most, len(out))
	return out, nil
}
