package httpapi

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/log"
)

// Autopilot watches the servers of the cluster and is configured by an operator.
type Autopilot interface {
	// Autopilot returns autopilot's view of the servers; only the leader has it.
	Autopilot() (api.AutopilotState, error)
	AutopilotConfig() api.AutopilotConfig
	SetAutopilot(ctx context.Context, config api.AutopilotConfig, by api.Identity) (api.AutopilotConfig, error)
}

// ServerHealth is what a server knows of its own health, apart from who leads.
type ServerHealth struct {
	Lag         uint64        // committed log entries that are not applied yet
	LastContact time.Duration // since its last contact with a leader; negative when it had none
	Because     []string      // why it is not ready
	Warnings    []string      // what needs attention although it is ready
	Tolerance   *int          // on the leader: voters that may be lost
}

func (a *API) operatorRoutes() []route {
	const get, post, operator = http.MethodGet, http.MethodPost, api.CapOperator
	return []route{
		{method: get, path: "/v1/status/peers", open: true, local: true, handle: a.peerAddresses},
		{method: post, path: "/v1/agent/leave", cap: operator, local: true, handle: a.leave},
		{method: get, path: "/v1/agent/monitor", cap: operator, local: true, stream: a.monitor},
		{method: get, path: "/v1/agent/pprof/{profile}", cap: operator, local: true, stream: a.profileSelf},
		{method: get, path: "/v1/operator/autopilot", cap: operator, handle: a.autopilot},
		{method: post, path: "/v1/operator/autopilot", cap: operator, handle: a.autopilotSet},
		{method: get, path: "/v1/operator/autopilot/state", cap: operator, handle: a.autopilotState},
		{
			method: get, path: "/v1/operator/rollout-audit", cap: operator,
			topics: []api.Topic{api.TopicRollout, api.TopicEffect}, handle: a.rolloutAudit,
		},
	}
}

// peerAddresses answers everybody, as /v1/status/leader does.
func (a *API) peerAddresses(*call) (any, error) {
	addresses := []string{}
	for _, s := range a.opt.Members.Servers() {
		addresses = append(addresses, s.Address)
	}
	slices.Sort(addresses)
	return addresses, nil
}

func (a *API) leave(c *call) (any, error) {
	if a.opt.Leave == nil {
		return nil, api.Errorf(api.CodeUnavailable, "this server can't leave")
	}
	return nil, a.opt.Leave(c.ctx())
}

func (a *API) autopilot(*call) (any, error) {
	if a.opt.Autopilot == nil {
		return nil, noAutopilot()
	}
	return a.opt.Autopilot.AutopilotConfig(), nil
}

func (a *API) autopilotSet(c *call) (any, error) {
	var in api.AutopilotConfig
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if a.opt.Autopilot == nil {
		return nil, noAutopilot()
	}
	return a.opt.Autopilot.SetAutopilot(c.ctx(), in, c.by)
}

func (a *API) autopilotState(*call) (any, error) {
	if a.opt.Autopilot == nil {
		return nil, noAutopilot()
	}
	return a.opt.Autopilot.Autopilot()
}

func noAutopilot() error { return api.Errorf(api.CodeUnavailable, "this server has no autopilot") }

// rolloutAudit lists the effects on the world whose intent is in the log and whose
// outcome is not known, oldest first.
func (a *API) rolloutAudit(*call) (any, error) {
	out := []api.OpenIntent{}
	for _, r := range a.opt.Store.OpenRollouts() {
		e := r.Effect
		if e == nil {
			continue
		}
		intent := api.OpenIntent{
			Rollout: r.ID, Patch: r.Patch, Target: r.Target, Status: r.Status, Effect: e.ID, Kind: e.Kind, Stage: e.Stage,
			Intended: e.Intended, By: e.By, Term: e.Term,
		}
		for _, h := range r.Holds {
			intent.Trouble = h.Source + ": " + h.Reason // the last one is the latest
		}
		out = append(out, intent)
	}
	slices.SortStableFunc(out, func(a, b api.OpenIntent) int { return a.Intended.Compare(b.Intended) })
	return out, nil
}

// monitorRecentMax bounds ?recent; the server keeps no more lines anyway.
const monitorRecentMax = 10000

// monitor streams this server's log from ?level on: ?recent past lines, and then,
// unless ?follow=false, every new line.
func (a *API) monitor(c *call) error {
	query := c.r.URL.Query()
	recent, err := number(query.Get("recent"), "recent")
	if err != nil {
		return err
	}
	follow := true
	if text := query.Get("follow"); text != "" {
		if follow, err = strconv.ParseBool(text); err != nil {
			return api.Errorf(api.CodeInvalid, "query parameter follow: want true or false, not %q", text)
		}
	}
	tap := log.TapOf(a.opt.Logger)
	if tap == nil {
		return api.Errorf(api.CodeUnavailable, "this server's log can't be followed")
	}
	level := query.Get("level")
	reader, err := tap.Follow(level) // begun before the recent lines are read, so that none is missed
	if err != nil {
		return api.Errorf(api.CodeInvalid, "query parameter level: %v", err)
	}
	defer reader.Close()
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	c.w.WriteHeader(http.StatusOK)
	a.write(c, tap.Recent(int(min(recent, monitorRecentMax))), 0) //nolint:gosec // it is bounded
	if !follow {
		return nil
	}
	ctx, stop := a.whileTaken(c)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-a.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	for {
		lines, lost, err := reader.Next(ctx)
		if err != nil {
			if ended := taken(ctx); ended != nil {
				a.write(c, []string{"... the log ends here: " + ended.Message}, 0)
			}
			return nil // the caller has gone, or the server stops
		}
		if !a.write(c, lines, lost) {
			return nil
		}
	}
}

// lineTimeout is how long a reader of the log may take no line before the stream
// ends.
const lineTimeout = 30 * time.Second

// write sends lines at once, and reports whether the caller is still there.
func (a *API) write(c *call, lines []string, lost int) bool {
	control := http.NewResponseController(c.w)
	_ = control.SetWriteDeadline(time.Now().Add(lineTimeout)) // writers of tests have none
	defer func() { _ = control.SetWriteDeadline(time.Time{}) }()
	out := bufio.NewWriter(c.w)
	if lost > 0 {
		fmt.Fprintf(out, "... %d lines were lost: they came faster than they were read\n", lost)
	}
	for _, line := range lines {
		fmt.Fprintln(out, line)
	}
	return out.Flush() == nil && control.Flush() == nil
}

// profileSelf writes a profile of this process, where the configuration allows
// it.
func (a *API) profileSelf(c *call) error {
	if !a.opt.Debug {
		return api.Errorf(api.CodePermissionDenied, "profiles of the process are off: set enable_debug = true in the agent's configuration")
	}
	name := c.r.PathValue("profile")
	profile := pprof.Lookup(name)
	if profile == nil {
		return api.Errorf(api.CodeNotFound, "profile %q: there is none of that name; there are goroutine, heap, allocs, block, mutex and threadcreate", name)
	}
	verbosity, err := number(c.r.URL.Query().Get("debug"), "debug")
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/octet-stream")
	return profile.WriteTo(c.w, int(min(verbosity, 2))) //nolint:gosec // it is bounded
}
