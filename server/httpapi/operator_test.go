package httpapi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/log"
)

// cockpit is an autopilot that remembers what it was set to.
type cockpit struct{ config api.AutopilotConfig }

func (c *cockpit) Autopilot() (api.AutopilotState, error) {
	return api.AutopilotState{Healthy: true, Servers: []api.ServerInfo{{ID: "a", Healthy: new(true), Version: "9"}}}, nil
}

func (c *cockpit) AutopilotConfig() api.AutopilotConfig { return c.config }

func (c *cockpit) SetAutopilot(_ context.Context, next api.AutopilotConfig, by api.Identity) (api.AutopilotConfig, error) {
	if by.Name == "" {
		return next, errors.New("nobody asks")
	}
	c.config = next
	return next, nil
}

// answer reads a path without the client, with a token.
func (s *server) answer(t *testing.T, path, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	must.NoError(t, err)
	req.Header.Set(headerToken, token)
	resp, err := http.DefaultClient.Do(req)
	must.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	must.NoError(t, err)
	must.NoError(t, resp.Body.Close())
	return resp.StatusCode, string(text)
}

func TestMetrics_AreOpenOnlyWhereTheConfigurationSaysSo(t *testing.T) {
	who := tokens{"r": {Name: "reader", Capabilities: []api.Capability{api.CapRead}}}
	closed := start(t, func(o *Options) { o.Auth = who })
	status, _ := closed.answer(t, "/v1/metrics", "")
	must.EqOp(t, 401, status)
	status, _ = closed.answer(t, "/v1/metrics", "r")
	must.EqOp(t, 200, status)

	open := start(t, func(o *Options) { o.Auth, o.OpenMetrics = who, true })
	status, _ = open.answer(t, "/v1/rollouts", "")
	must.EqOp(t, 401, status, must.Sprint("nothing else is"))
	status, text := open.answer(t, "/v1/metrics", "")
	must.EqOp(t, 200, status)
	must.StrContains(t, text, "oakum_http_request_seconds")
}

func TestHealth_SaysWhyTheServerIsNotReady(t *testing.T) {
	var v ServerHealth
	s := start(t, func(o *Options) { o.ServerHealth = func() ServerHealth { return v } })
	v = ServerHealth{Lag: 3, LastContact: 40 * time.Millisecond, Warnings: []string{"server b is not healthy"}, Tolerance: new(1)}
	health, err := s.client(t, "").Health(t.Context())
	must.NoError(t, err)
	must.True(t, health.Ready)
	must.Eq(t, []string{"server b is not healthy"}, health.Warnings)
	must.EqOp(t, 3, health.Lag)
	must.EqOp(t, "40ms", health.LastContact.String())
	must.EqOp(t, 1, *health.Tolerance)

	v = ServerHealth{Lag: 900, LastContact: -1, Because: []string{"900 committed changes are not applied yet"}}
	health, err = s.client(t, "").Health(t.Context())
	must.NoError(t, err)
	must.False(t, health.Ready)
	must.True(t, health.Live)
	must.Eq(t, v.Because, health.Because)
	status, _ := s.answer(t, "/v1/health", "")
	must.EqOp(t, 503, status)
}

func TestHealth_ShowsSourcesToCallersWhoMayRead(t *testing.T) {
	who := tokens{"r": {Name: "reader", Capabilities: []api.Capability{api.CapRead}}}
	store := newMemory()
	store.sources = []api.SourceStatus{{Name: "prometheus", Error: "refused", Failures: 3}}
	s := start(t, func(o *Options) { o.Auth, o.Store = who, store })
	health, err := s.client(t, "r").Health(t.Context())
	must.NoError(t, err)
	must.Eq(t, store.sources, health.Sources)
	health, err = s.client(t, "").Health(t.Context())
	must.NoError(t, err)
	must.SliceEmpty(t, health.Sources)
}

func TestAutopilot_IsReadAndSet(t *testing.T) {
	s := start(t, func(o *Options) { o.Autopilot = &cockpit{config: api.AutopilotConfig{MinQuorum: 3}} })
	c := s.client(t, "")
	now, err := c.Autopilot(t.Context(), client.Query{})
	must.NoError(t, err)
	must.EqOp(t, 3, now.MinQuorum)
	now.MinQuorum = 5
	now, err = c.SetAutopilot(t.Context(), now)
	must.NoError(t, err)
	must.EqOp(t, 5, now.MinQuorum)
	seen, err := c.AutopilotState(t.Context())
	must.NoError(t, err)
	must.True(t, seen.Healthy)

	t.Log("the leader's list of servers has what autopilot knows")
	peers, err := c.Peers(t.Context(), client.Query{})
	must.NoError(t, err)
	must.EqOp(t, "9", peers[0].Version)
	must.True(t, *peers[0].Healthy)
	addresses, err := c.PeerAddresses(t.Context())
	must.NoError(t, err)
	must.Len(t, 1, addresses)
}

func TestRolloutAudit_ListsOpenIntentsOldestFirst(t *testing.T) {
	s := start(t, nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, id := range []string{"young", "old"} {
		s.store.put(api.Rollout{
			ID: id, Status: api.RolloutRunning, Patch: "ssl", Holds: []api.Hold{{Source: "nomad", Reason: "away"}},
			Effect: &api.Effect{ID: id + "/1", Kind: api.EffectStage, Stage: 2, By: "oak-1", Term: 7, Intended: at.Add(-time.Duration(i) * time.Minute)},
		})
	}
	s.store.put(api.Rollout{ID: "idle", Status: api.RolloutRunning})
	s.store.put(api.Rollout{ID: "ended", Status: api.RolloutComplete, Effect: &api.Effect{ID: "x"}})
	open, err := s.client(t, "").RolloutAudit(t.Context(), client.Query{})
	must.NoError(t, err)
	must.Len(t, 2, open)
	must.Eq(t, api.OpenIntent{
		Rollout: "old", Patch: "ssl", Status: api.RolloutRunning, Effect: "old/1", Kind: api.EffectStage, Stage: 2,
		Intended: at.Add(-time.Minute), By: "oak-1", Term: 7, Trouble: "nomad: away",
	}, open[0])
}

func TestMonitor_FollowsTheLog(t *testing.T) {
	logger, err := log.New(&bytes.Buffer{}, "info", "text")
	must.NoError(t, err)
	s := start(t, func(o *Options) { o.Logger = logger })
	logger.Info("before")
	c := s.client(t, "")
	enough := errors.New("enough")
	var lines []string
	err = c.Monitor(t.Context(), "debug", 10, func(line string) error {
		lines = append(lines, line)
		if strings.Contains(line, "before") {
			go logger.Debug("after") // the server is following by now
		}
		if strings.Contains(line, "msg=after") {
			return enough
		}
		return nil
	})
	must.ErrorIs(t, err, enough)
	must.True(t, slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "level=INFO msg=before") }))

	t.Log("without following it ends by itself")
	var recent bytes.Buffer
	must.NoError(t, c.RecentLog(t.Context(), 5, &recent))
	must.StrContains(t, recent.String(), "msg=before")
	must.StrNotContains(t, recent.String(), "msg=after")

	err = c.Monitor(t.Context(), "loud", 0, func(string) error { return nil })
	must.True(t, api.IsCode(err, api.CodeInvalid), must.Sprint(err))

	t.Log("a server that stops ends the stream")
	ended := make(chan error, 1)
	begun := make(chan struct{}, 64)
	go func() {
		ended <- c.Monitor(t.Context(), "info", 1, func(string) error { begun <- struct{}{}; return nil })
	}()
	<-begun
	s.api.Close()
	must.NoError(t, <-ended)
}

func TestPprof_NeedsDebug(t *testing.T) {
	off := start(t, nil)
	err := off.client(t, "").ProcessProfile(t.Context(), "goroutine", io.Discard)
	must.True(t, api.IsCode(err, api.CodePermissionDenied), must.Sprint(err))
	on := start(t, func(o *Options) { o.Debug = true })
	var out bytes.Buffer
	must.NoError(t, on.client(t, "").ProcessProfile(t.Context(), "goroutine", &out))
	must.StrContains(t, out.String(), "goroutine profile: total")
	err = on.client(t, "").ProcessProfile(t.Context(), "secrets", io.Discard)
	must.True(t, api.IsCode(err, api.CodeNotFound), must.Sprint(err))
}

func TestLeave_IsForOperators(t *testing.T) {
	left := 0
	s := start(t, func(o *Options) {
		o.Auth = tokens{
			"r": {Name: "reader", Capabilities: []api.Capability{api.CapRead}},
			"o": {Name: "ops", Capabilities: []api.Capability{api.CapOperator}},
		}
		o.Leave = func(context.Context) error { left++; return nil }
	})
	must.True(t, api.IsCode(s.client(t, "r").Leave(t.Context()), api.CodePermissionDenied))
	must.NoError(t, s.client(t, "o").Leave(t.Context()))
	must.EqOp(t, 1, left)
}
