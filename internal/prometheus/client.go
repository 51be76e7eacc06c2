// Package prometheus is the only package that queries Prometheus, or another store
// with its query API. It makes instant queries with bounded answers, and reads the
// traffic that mesh proxies report. It decides nothing.
package prometheus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	promapi "github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/oakumhq/oakum/api"
)

const (
	// defaultTimeout bounds one query. A sum over the fleet's last 30 s takes
	// well under a second.
	defaultTimeout = 5 * time.Second
	// maxSeries bounds the series of one answer.
	maxSeries = 100_000
	// maxBody bounds the bytes of an answer before they are parsed. 100,000
	// series take about 600 bytes each.
	maxBody = 64 << 20
)

// Config says where Prometheus is and which credentials the client uses.
type Config struct {
	Address string        // URL
	Token   func() string // bearer token, asked at each call; nil means none
	Timeout time.Duration // of one query; 0 means 5 s
	Window  time.Duration // of the rates of Edges; 0 means 30 s

	Username string        // of basic authentication; empty means none
	Password func() string // asked at each call
	Tenant   string        // sent as X-Scope-OrgID, as Mimir, Cortex and Loki's gateways want; empty means none
	// CACert is a file with the certificates that the server's must be signed by.
	// ClientCert and ClientKey are files that prove who asks, read at each connection.
	// All are optional.
	CACert, ClientCert, ClientKey string
}

// Sample is one series of an instant vector. A native histogram has Upper and Counts,
// and no Value.
type Sample struct {
	Labels map[string]string
	Value  float64
	Upper  []float64 // rising ends of the buckets that are not empty
	Counts []float64 // observations in each of them, not accumulated
}

// Client speaks to one Prometheus. It is safe for concurrent use.
type Client struct {
	api     promv1.API
	timeout time.Duration
	window  time.Duration
}

// New returns a client. It does not call Prometheus.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" {
		return nil, api.Errorf(api.CodeInvalid, "open prometheus client: address is empty")
	}
	certificates, err := cfg.tls()
	if err != nil {
		return nil, err
	}
	next := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute,
		DialContext: (&net.Dialer{Timeout: defaultTimeout}).DialContext, TLSHandshakeTimeout: defaultTimeout,
		TLSClientConfig: certificates,
	}
	home, err := url.Parse(cfg.Address)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "open prometheus client: the address is no URL")
	}
	client, err := promapi.NewClient(promapi.Config{Address: cfg.Address, RoundTripper: &transport{next: next, cfg: cfg, home: home}})
	if err != nil {
		return nil, fmt.Errorf("open prometheus client: %w", err)
	}
	c := &Client{api: promv1.NewAPI(client), timeout: cfg.Timeout, window: cfg.Window}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.window <= 0 {
		c.window = defaultWindow
	}
	return c, nil
}

// transport proves on every request who asks, and bounds every answer.
type transport struct {
	next http.RoundTripper
	cfg  Config
	home *url.URL // the configured address
}

// RoundTrip implements http.RoundTripper. It follows no redirect to elsewhere: whoever
// answers there would get the credentials, and the fleet's measurements would be theirs.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != t.home.Scheme || r.URL.Host != t.home.Host {
		return nil, fmt.Errorf("redirected to %s://%s, and the credentials are for %s://%s only", r.URL.Scheme, r.URL.Host, t.home.Scheme, t.home.Host)
	}
	r = r.Clone(r.Context())
	t.cfg.prove(r)
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if err := read(resp); err != nil {
		return nil, err
	}
	return resp, nil
}

// Query makes one instant query. A zero time means now. The answer must be a
// vector; a scalar counts as one sample without labels. Values that are NaN or
// infinite are dropped. More than 100,000 series are an error. So is an answer about
// which the store warns: it lacks series, so that a sum in it is too low by nobody knows
// how much, and the next one would seem to have grown by what was missing.
func (c *Client) Query(ctx context.Context, promql string, at time.Time) ([]Sample, error) {
	found, warnings, err := c.vector(ctx, promql, at)
	if err != nil {
		return nil, err
	}
	if err := lacking(promql, warnings); err != nil {
		return nil, err
	}
	var samples []Sample
	for _, s := range found {
		switch {
		case s.Histogram != nil:
			samples = append(samples, native(s))
		case finite(float64(s.Value)):
			samples = append(samples, Sample{Labels: labels(s.Metric), Value: float64(s.Value)})
		}
	}
	return samples, nil
}

// vector makes one instant query and returns all samples, and the store's
// warnings.
func (c *Client) vector(ctx context.Context, promql string, at time.Time) ([]*model.Sample, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	value, warnings, _, err := c.api.Query(ctx, promql, at, options(ctx)...)
	if err != nil {
		return nil, nil, explain(promql, err)
	}
	switch v := value.(type) {
	case model.Vector:
		if len(v) > maxSeries {
			return nil, nil, api.Errorf(api.CodeInvalid, "prometheus: query %q: %d series, more than %d", short(promql), len(v), maxSeries)
		}
		return v, warnings, nil
	case *model.Scalar:
		return []*model.Sample{{Metric: model.Metric{}, Value: v.Value}}, warnings, nil
	}
	return nil, nil, api.Errorf(api.CodeInvalid, "prometheus: query %q: want an instant vector, got a %s", short(promql), value.Type())
}

// native is a sample that is a native histogram.
func native(s *model.Sample) Sample {
	out := Sample{Labels: labels(s.Metric), Value: math.NaN(), Upper: []float64{}}
	for _, b := range s.Histogram.Buckets {
		if b != nil {
			out.Upper, out.Counts = append(out.Upper, float64(b.Upper)), append(out.Counts, float64(b.Count))
		}
	}
	return out
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func labels(m model.Metric) map[string]string {
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[string(k)] = string(v)
	}
	return out
}

// shown is how many characters of a query an error repeats.
const shown = 60

// remarkMax is how many characters of a store's warnings an error repeats. A store that
// spans many others warns of each.
const remarkMax = 300

func short(promql string) string {
	if len(promql) <= shown {
		return promql
	}
	return strings.ToValidUTF8(promql[:shown], "") + "..."
}

// remark joins warnings to a text that stays short.
func remark(warnings []string) string {
	text := strings.Join(warnings, "; ")
	if len(text) <= remarkMax {
		return text
	}
	return strings.ToValidUTF8(text[:remarkMax], "") + "..."
}

// explain turns an error of the query API into an api.Error.
func explain(promql string, err error) error {
	code := api.CodeUnavailable
	if known, ok := errors.AsType[*promv1.Error](err); ok {
		switch known.Type {
		case promv1.ErrBadData, promv1.ErrExec:
			code = api.CodeInvalid
		case promv1.ErrTimeout, promv1.ErrCanceled:
			code = api.CodeTimeout
		default: // Prometheus or the way to it is at fault
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		code = api.CodeTimeout
	}
	if detail := detailOf(err); detail != "" {
		return api.Errorf(code, "prometheus: query %q: %v: %s", short(promql), err, detail)
	}
	return api.Errorf(code, "prometheus: query %q: %v", short(promql), err)
}

// detailOf is what a store said with a status that is not of Prometheus' own API, where the
// client tells the status alone.
func detailOf(err error) string {
	known, ok := errors.AsType[*promv1.Error](err)
	if !ok || known.Detail == "" {
		return ""
	}
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal([]byte(known.Detail), &answer) != nil || answer.Error == "" {
		answer.Error = strings.TrimSpace(known.Detail)
	}
	return remark([]string{answer.Error})
}
