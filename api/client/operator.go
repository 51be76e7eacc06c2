package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/oakumhq/oakum/api"
)

// Health reads the health of the server at the address, whoever leads. A
// server that is not ready is no error: the report says so.
func (c *Client) Health(ctx context.Context) (api.HealthReport, error) {
	var out api.HealthReport
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.roundTrip(ctx, http.MethodGet, "/v1/health", nil, nil)
	if err != nil {
		return out, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return out, readError(resp)
	}
	_, err = readAnswer(resp, &out)
	return out, err
}

// Self reads who the server at the address is and who it takes the caller for.
func (c *Client) Self(ctx context.Context) (api.AgentSelf, error) {
	var out api.AgentSelf
	_, err := c.get(ctx, "/v1/agent/self", Query{Stale: true}, &out)
	return out, err
}

// Leader reads the address of the leading server, empty when there is none.
func (c *Client) Leader(ctx context.Context) (string, error) {
	var out string
	_, err := c.get(ctx, "/v1/status/leader", Query{Stale: true}, &out)
	return out, err
}

// State reads how far the replica of the server at the address is.
func (c *Client) State(ctx context.Context) (api.StateInfo, error) {
	var out api.StateInfo
	_, err := c.get(ctx, "/v1/operator/state", Query{Stale: true}, &out)
	return out, err
}

// Peers lists the servers of the cluster.
func (c *Client) Peers(ctx context.Context, q Query) ([]api.ServerInfo, error) {
	var out []api.ServerInfo
	_, err := c.get(ctx, "/v1/operator/raft/configuration", q, &out)
	return out, err
}

// RemovePeer takes a server out of the cluster.
func (c *Client) RemovePeer(ctx context.Context, id string) error {
	return c.change(ctx, http.MethodPost, "/v1/operator/raft/remove-peer", api.PeerRequest{ID: id}, nil)
}

// TransferLeadership makes the leader hand over to another server.
func (c *Client) TransferLeadership(ctx context.Context) error {
	return c.change(ctx, http.MethodPost, "/v1/operator/raft/transfer", nil, nil)
}

// SnapshotSave writes a snapshot of the replicated state to w.
func (c *Client) SnapshotSave(ctx context.Context, w io.Writer) (int64, error) {
	resp, err := c.send(ctx, http.MethodGet, "/v1/operator/snapshot", nil, nil)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	n, err := io.Copy(w, resp.Body)
	if err != nil {
		return n, fmt.Errorf("read snapshot: %w", err)
	}
	return n, nil
}

// SnapshotRestore replaces the replicated state by a snapshot.
func (c *Client) SnapshotRestore(ctx context.Context, r io.Reader) error {
	resp, err := c.send(ctx, http.MethodPost, "/v1/operator/snapshot", nil, r)
	if err != nil {
		return err
	}
	_, err = readAnswer(resp, nil)
	return err
}

// Events lists what the server still remembers of the record from an index on.
// Topics are topic or topic:key; none means all.
func (c *Client) Events(ctx context.Context, from uint64, topics ...string) ([]api.Event, error) {
	var out []api.Event
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	resp, err := c.send(ctx, http.MethodGet, "/v1/events", eventQuery(from, topics), nil)
	if err != nil {
		return nil, err
	}
	_, err = readAnswer(resp, &out)
	return out, err
}

// eventLineMax bounds one event of the stream; a rollout with its former job
// is the largest payload and stays far below.
const eventLineMax = 16 << 20

// EventStream calls each for every event from an index on, until ctx ends, the
// server closes the stream or each returns an error.
func (c *Client) EventStream(ctx context.Context, from uint64, topics []string, each func(api.Event) error) error {
	resp, err := c.send(ctx, http.MethodGet, "/v1/event/stream", eventQuery(from, topics), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 64<<10), eventLineMax)
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) == 0 || string(line) == "{}" { // a heartbeat
			continue
		}
		var event struct {
			api.Event
			api.StreamEnd
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return fmt.Errorf("decode event: %w", err)
		}
		if event.Error != nil {
			return event.Error
		}
		if err := each(event.Event); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read event stream: %w", err)
	}
	return nil
}

func eventQuery(from uint64, topics []string) url.Values {
	v := url.Values{}
	if from > 0 {
		v.Set("index", strconv.FormatUint(from, 10))
	}
	for _, topic := range topics {
		v.Add("topic", topic)
	}
	return v
}
