package prometheus

import (
	"context"
	"errors"
	"time"

	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/oakumhq/oakum/api"
)

// Names lists the names of the metrics that had samples since a time, sorted. It lists at
// most so many, and says whether those are all. A partial answer is an error.
func (c *Client) Names(ctx context.Context, since time.Time, limit int) (names []string, whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	values, warnings, _, err := c.api.LabelValues(ctx, model.MetricNameLabel, nil, since, time.Now(), promv1.WithLimit(uint64(limit)+1))
	if err != nil {
		return nil, false, explain("names of metrics", err)
	}
	if err := lacking("names of metrics", warnings); err != nil {
		return nil, false, err
	}
	for _, v := range values[:min(len(values), limit)] {
		names = append(names, string(v))
	}
	return names, len(values) <= limit, nil
}

// LabelNames lists the labels of the series of a selector that had samples since a time,
// sorted. A partial answer is an error.
func (c *Client) LabelNames(ctx context.Context, selector string, since time.Time) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, warnings, _, err := c.api.LabelNames(ctx, []string{selector}, since, time.Now())
	if err != nil {
		return nil, explain(selector, err)
	}
	if err := lacking(selector, warnings); err != nil {
		return nil, err
	}
	names := make([]string, len(found))
	for i, n := range found {
		names[i] = string(n)
	}
	return names, nil
}

// Types lists what Prometheus was told of its metrics' types, by name: counter, gauge,
// histogram, summary and others. Stores that are written to remotely know few of them.
func (c *Client) Types(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	found, err := c.api.Metadata(ctx, "", "")
	if err != nil {
		if known, ok := errors.AsType[*promv1.Error](err); ok && known.Type == promv1.ErrClient {
			return nil, api.Errorf(api.CodeNotFound, "prometheus: types of metrics: %v", err)
		}
		return nil, explain("types of metrics", err)
	}
	types := make(map[string]string, len(found))
	for name, said := range found {
		for _, m := range said {
			types[name] = string(m.Type)
		}
	}
	return types, nil
}
