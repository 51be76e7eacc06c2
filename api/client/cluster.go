package client

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/oakumhq/oakum/api"
)

// PeerAddresses reads the addresses of the cluster's servers. It needs no token.
func (c *Client) PeerAddresses(ctx context.Context) ([]string, error) {
	var out []string
	_, err := c.get(ctx, "/v1/status/peers", Query{Stale: true}, &out)
	return out, err
}

// Leave takes the server at the address out of the cluster and has it stop.
func (c *Client) Leave(ctx context.Context) error {
	return c.change(ctx, http.MethodPost, "/v1/agent/leave", nil, nil)
}

// Autopilot reads autopilot's configuration.
func (c *Client) Autopilot(ctx context.Context, q Query) (api.AutopilotConfig, error) {
	var out api.AutopilotConfig
	_, err := c.get(ctx, "/v1/operator/autopilot", q, &out)
	return out, err
}

// SetAutopilot replaces autopilot's configuration by next. Next must be made from
// the present configuration: its ModifyIndex names the configuration that it was
// made from.
func (c *Client) SetAutopilot(ctx context.Context, next api.AutopilotConfig) (api.AutopilotConfig, error) {
	var out api.AutopilotConfig
	err := c.change(ctx, http.MethodPost, "/v1/operator/autopilot", next, &out)
	return out, err
}

// AutopilotState reads autopilot's view of the servers.
func (c *Client) AutopilotState(ctx context.Context) (api.AutopilotState, error) {
	var out api.AutopilotState
	_, err := c.get(ctx, "/v1/operator/autopilot/state", Query{}, &out)
	return out, err
}

// RolloutAudit lists the effects that were announced and whose outcome is not
// known, oldest first.
func (c *Client) RolloutAudit(ctx context.Context, q Query) ([]api.OpenIntent, error) {
	var out []api.OpenIntent
	_, err := c.get(ctx, "/v1/operator/rollout-audit", q, &out)
	return out, err
}

// Metrics writes the metrics of the server at the address to w, as Prometheus
// reads them.
func (c *Client) Metrics(ctx context.Context, w io.Writer) error {
	return c.copy(ctx, "/v1/metrics", nil, w)
}

// ProcessProfile writes a profile of the server's process to w: goroutine, heap
// and the like, as text. The server must run with enable_debug.
func (c *Client) ProcessProfile(ctx context.Context, name string, w io.Writer) error {
	return c.copy(ctx, "/v1/agent/pprof/"+url.PathEscape(name), url.Values{"debug": {"1"}}, w)
}

// RecentLog writes up to n of the last lines of the server's log to w.
func (c *Client) RecentLog(ctx context.Context, n int, w io.Writer) error {
	return c.copy(ctx, "/v1/agent/monitor", url.Values{"recent": {strconv.Itoa(n)}, "follow": {"false"}}, w)
}

func (c *Client) copy(ctx context.Context, path string, query url.Values, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// logLineMax bounds one line of the log.
const logLineMax = 1 << 20

// Monitor calls each with every line that the server at the address logs from
// a level on (trace, debug, info, warn, error), after up to recent lines of the
// past, until ctx ends, the server closes the stream or each returns an error.
func (c *Client) Monitor(ctx context.Context, level string, recent int, each func(line string) error) error {
	query := url.Values{"level": {level}, "recent": {strconv.Itoa(recent)}}
	resp, err := c.send(ctx, http.MethodGet, "/v1/agent/monitor", query, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), logLineMax)
	for lines.Scan() {
		if err := each(lines.Text()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	return nil
}
