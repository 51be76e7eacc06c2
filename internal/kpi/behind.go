package kpi

import (
	"cmp"
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/oakumhq/oakum/internal/judge"
	"github.com/oakumhq/oakum/internal/promql"
)

// forgotten is for how long a series may have had no samples and still be known to come
// back. Exporters drop what was idle for minutes, and show it with its whole life when it
// counts again. Over a longer gap between two looks nothing is known.
const forgotten = 6 * time.Hour

// behind notes which scraped endpoints the counters are from, and whether all series that
// were added up went on since a time. A zero time asks for the endpoints alone. What is
// asked is one row for each allocation, endpoint and change, whatever the series are.
//
// A histogram is of the instances whose events are counted, and restarts with them: its
// series are asked for where there is no other counter. Failures are mostly some of the
// series of all events. They are asked for where they are of another metric, and are taken
// to be of the same endpoints.
func (r *Reader) behind(ctx context.Context, all map[string]*Counters, events []string, failures string, ids []string, since, at time.Time) error {
	gap := at.Sub(since).Round(time.Millisecond)
	var parts []string
	for _, query := range events {
		if text := r.question(query).endpoints; text != "" {
			parts = append(parts, text)
		}
	}
	var asked []question
	for _, query := range []string{cmp.Or(events...), failures} {
		q := r.question(query)
		known := slices.ContainsFunc(asked, func(other question) bool { return slices.Equal(other.metrics, q.metrics) })
		if q.series && !known && !since.IsZero() && gap > 0 && gap <= forgotten {
			asked = append(asked, q)
			parts = append(parts, q.changes.Since(gap, cmp.Or(r.queries.Scrape, judge.DefaultScrape)))
		}
	}
	found, err := r.ask(ctx, strings.Join(parts, " or "), ids, at)
	if err != nil {
		return err
	}
	var began []string
	for _, s := range found {
		id := s.Labels[r.queries.Label]
		c := all[id]
		if c == nil {
			continue
		}
		switch s.Labels[promql.ChangeLabel] {
		case promql.ChangeEnded:
			c.changed = "some series ended"
		case promql.ChangeReset:
			c.changed = "counter was reset"
		case promql.ChangeBegan:
			began = append(began, id)
		default:
			h := fnv.New64a()
			_, _ = fmt.Fprintf(h, "%q %q", s.Labels[promql.EndpointJob], s.Labels[promql.EndpointInstance])
			c.Endpoints += h.Sum64() // in any order
		}
	}
	if !since.IsZero() && gap > forgotten {
		for _, c := range all {
			c.changed = "the look before is too long ago"
		}
	}
	return r.cameBack(ctx, all, asked, began, gap, at)
}

// cameBack finds the allocations of which series were there before the look before. A
// series that is new counts from zero, but one that comes back shows its whole life.
func (r *Reader) cameBack(ctx context.Context, all map[string]*Counters, asked []question, ids []string, gap time.Duration, at time.Time) error {
	if len(ids) == 0 {
		return nil
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for _, q := range asked {
		found, err := r.ask(ctx, q.changes.Back(gap, forgotten), ids, at)
		if err != nil {
			return err
		}
		for _, s := range found {
			if c := all[s.Labels[r.queries.Label]]; c != nil {
				c.changed = "some series came back"
			}
		}
	}
	return nil
}
