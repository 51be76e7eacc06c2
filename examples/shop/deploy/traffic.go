package deploy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Edge is one caller and the service that it calls.
type Edge struct{ From, To string }

// Edges lists the edges that the mesh must show, sorted.
func Edges() []Edge {
	var edges []Edge
	for _, s := range Services() {
		for _, u := range s.Upstreams {
			edges = append(edges, Edge{s.Name, u})
		}
	}
	slices.SortFunc(edges, func(a, b Edge) int { return strings.Compare(a.From+" "+a.To, b.From+" "+b.To) })
	return edges
}

// Series is one result of an instant query.
type Series struct {
	Labels map[string]string
	Value  float64
}

// Query asks Prometheus for an instant vector.
func Query(ctx context.Context, env Env, promql string) ([]Series, error) {
	if env.PrometheusAddr == "" {
		return nil, errors.New("query prometheus: no address")
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	prometheus := endpoint{address: env.PrometheusAddr}
	if err := prometheus.call(ctx, http.MethodGet, "/api/v1/query?query="+url.QueryEscape(promql), nil, &answer); err != nil {
		return nil, fmt.Errorf("query prometheus: %w", err)
	}
	var series []Series
	for _, row := range answer.Data.Result {
		text, _ := row.Value[1].(string)
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, fmt.Errorf("query prometheus: value %q: %w", text, err)
		}
		series = append(series, Series{Labels: row.Metric, Value: value})
	}
	return series, nil
}

// WaitTraffic waits until Prometheus sees every edge of the mesh carry bytes
// and the entries answer customers. Without Prometheus it returns at once.
func WaitTraffic(ctx context.Context, env Env) error {
	if env.PrometheusAddr == "" {
		return nil
	}
	err := poll(ctx, func() error {
		series, err := Query(ctx, env, `sum by (src, dst) (rate(consul_proxy_upstream_rx_bytes[30s])) > 0`)
		if err != nil {
			return err
		}
		for _, e := range Edges() {
			seen := func(s Series) bool { return s.Labels["src"] == e.From && s.Labels["dst"] == e.To }
			if !slices.ContainsFunc(series, seen) {
				return fmt.Errorf("no traffic from %s to %s yet", e.From, e.To)
			}
		}
		good, err := Query(ctx, env, `sum by (service) (rate(http_requests_total{code="200"}[30s])) > 0`)
		if err != nil {
			return err
		}
		for _, s := range Services() {
			if !slices.ContainsFunc(good, func(g Series) bool { return g.Labels["service"] == s.Name }) {
				return fmt.Errorf("no good answers of %s yet", s.Name)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for traffic: %w", err)
	}
	return nil
}
