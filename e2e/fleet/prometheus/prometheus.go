// Package prometheus serves Prometheus' query API over what the instances of a
// fleet in memory show.
package prometheus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"github.com/oakumhq/oakum/e2e/fleet/door"
)

const (
	// lookback is for how long an instant query still takes a series' last sample.
	lookback = 5 * time.Minute
	// mostSamples bounds what one query may hold in memory, as in Prometheus.
	mostSamples = 50_000_000
	// mostSteps bounds a range query, as in Prometheus.
	mostSteps = 11_000
	// queryTimeout bounds one query, as in Prometheus.
	queryTimeout = 2 * time.Minute
	// scrapeEvery is how often every instance is scraped when nobody says otherwise.
	scrapeEvery = 5 * time.Second
)

// Door serves Prometheus' query API over what the instances of a model
// show. Nothing is stored: a sample is computed for the moment at which its
// instance was scraped. Queries are PromQL and run on Prometheus' own engine. It
// is safe for concurrent use.
type Door struct {
	door.Health
	handler http.Handler
	model   *door.Model
	engine  *promql.Engine
	every   time.Duration
}

// New returns what serves the API; every is the scrape interval, 5 s
// when it is 0.
func New(m *door.Model, every time.Duration) *Door {
	if every <= 0 {
		every = scrapeEvery
	}
	p := &Door{model: m, every: every, engine: promql.NewEngine(promql.EngineOpts{
		Logger: slog.New(slog.DiscardHandler), MaxSamples: mostSamples, Timeout: queryTimeout, LookbackDelta: lookback,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: parser.NewParser(parser.Options{}),
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})}
	mux := http.NewServeMux()
	p.handler = p.WithFault(mux)
	mux.HandleFunc("/api/v1/query", p.instant)
	mux.HandleFunc("/api/v1/query_range", p.span)
	mux.HandleFunc("/api/v1/labels", p.labelNames)
	mux.HandleFunc("GET /api/v1/label/{name}/values", p.labelValues)
	mux.HandleFunc("GET /api/v1/metadata", p.metadata)
	mux.HandleFunc("GET /api/v1/status/buildinfo", func(w http.ResponseWriter, _ *http.Request) {
		door.Reply(w, answered{Status: "success", Data: map[string]string{"version": "3.0.0", "revision": "fleet in memory"}})
	})
	for _, path := range []string{"GET /-/healthy", "GET /-/ready"} {
		mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) {})
	}
	return p
}

// ServeHTTP implements http.Handler.
func (p *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// answered is the envelope of every answer.
type answered struct {
	Status    string   `json:"status"`
	Data      any      `json:"data,omitempty"`
	ErrorType string   `json:"errorType,omitempty"`
	Error     string   `json:"error,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
	Infos     []string `json:"infos,omitempty"`
}

// instant serves a query at one moment.
func (p *Door) instant(w http.ResponseWriter, r *http.Request) {
	at, err := moment(r.FormValue("time"), time.Now())
	if err != nil {
		invalid(w, "time", fmt.Errorf("Invalid time value for 'time': %w", err)) //nolint:staticcheck // Prometheus' own words
		return
	}
	if text := r.FormValue("timeout"); text != "" {
		if _, err := seconds(text); err != nil {
			invalid(w, "timeout", err)
			return
		}
	}
	query, err := p.engine.NewInstantQuery(r.Context(), p, nil, r.FormValue("query"), at)
	if err != nil {
		// The parser does not say where nothing is.
		invalid(w, "query", errors.New(strings.Replace(err.Error(), "unknown position", "1:1", 1)))
		return
	}
	p.run(r.Context(), w, query)
}

// span serves a query at each step of a range.
func (p *Door) span(w http.ResponseWriter, r *http.Request) {
	start, err1 := moment(r.FormValue("start"), time.Time{})
	end, err2 := moment(r.FormValue("end"), time.Time{})
	step, err3 := seconds(r.FormValue("step"))
	switch {
	case err1 != nil:
		invalid(w, "start", err1)
		return
	case err2 != nil:
		invalid(w, "end", err2)
		return
	case err3 != nil:
		invalid(w, "step", err3)
		return
	case start.IsZero() || end.Before(start):
		invalid(w, "end", errors.New("end timestamp must not be before start time"))
		return
	case step <= 0:
		invalid(w, "step", errors.New("zero or negative query resolution step widths are not accepted. Try a positive integer"))
		return
	case end.Sub(start)/step > mostSteps:
		badData(w, errors.New("exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"))
		return
	}
	query, err := p.engine.NewRangeQuery(r.Context(), p, nil, r.FormValue("query"), start, end, step)
	if err != nil {
		badData(w, err)
		return
	}
	p.run(r.Context(), w, query)
}

func (p *Door) run(ctx context.Context, w http.ResponseWriter, query promql.Query) {
	defer query.Close()
	res := query.Exec(ctx)
	if res.Err != nil {
		failed(w, res.Err)
		return
	}
	warnings, infos := res.Warnings.AsStrings(query.String(), 10, 10)
	door.Reply(w, answered{
		Status: "success", Data: map[string]any{"resultType": res.Value.Type(), "result": res.Value}, Warnings: warnings, Infos: infos,
	})
}

// failed answers for a query that could not be carried out, as Prometheus does.
func failed(w http.ResponseWriter, err error) {
	status, kind := http.StatusUnprocessableEntity, "execution"
	if _, ok := errors.AsType[promql.ErrQueryTimeout](err); ok {
		status, kind = http.StatusServiceUnavailable, "timeout"
	}
	if _, ok := errors.AsType[promql.ErrQueryCanceled](err); ok {
		status, kind = http.StatusServiceUnavailable, "canceled"
	}
	told(w, status, kind, err)
}

// invalid tells which parameter is wrong.
func invalid(w http.ResponseWriter, parameter string, err error) {
	badData(w, fmt.Errorf("invalid parameter %q: %w", parameter, err))
}

func badData(w http.ResponseWriter, err error) { told(w, http.StatusBadRequest, "bad_data", err) }

func told(w http.ResponseWriter, status int, kind string, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	door.Reply(w, answered{Status: "error", ErrorType: kind, Error: err.Error()})
}

// moment reads a time: seconds since 1970, or RFC 3339.
func moment(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	if v, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(v) < 1e12 {
		return time.UnixMilli(int64(math.Round(v * 1000))), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, errors.New("cannot parse \"" + text + "\" to a valid timestamp")
	}
	return t, nil
}

// seconds reads a duration: a number of seconds, or as PromQL writes it.
func seconds(text string) (time.Duration, error) {
	if v, err := strconv.ParseFloat(text, 64); err == nil && math.Abs(v) < 1e9 {
		return time.Duration(v * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, errors.New("cannot parse \"" + text + "\" to a valid duration")
	}
	return d, nil
}

// Querier implements storage.Queryable.
func (p *Door) Querier(mint, maxt int64) (storage.Querier, error) {
	return &querier{p: p, fault: p.Fault(), mint: mint, maxt: maxt}, nil
}

// partly is the warning of an answer while some instances are not scraped.
func partly() annotations.Annotations {
	var a annotations.Annotations
	a.Add(errors.New("some targets could not be asked"))
	return a
}
