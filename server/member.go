package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/consul"
	"github.com/oakumhq/oakum/internal/discover"
	"github.com/oakumhq/oakum/internal/mapper"
	"github.com/oakumhq/oakum/server/config"
	"github.com/oakumhq/oakum/server/httpapi"
	"github.com/oakumhq/oakum/server/state"
)

const (
	// leaveTimeout bounds how long a server that a signal ends tries to leave: a
	// transfer of leadership and a change of membership, each with a retry.
	leaveTimeout = 15 * time.Second
	// lagMax is how many committed entries a ready server may not have applied yet. A
	// cluster under load applies as many in some tens of milliseconds.
	lagMax = 250
)

// SignalError is the cause with which the context of Run ends when a signal
// ends it. It decides whether the server leaves the cluster or only stops.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return "signal: " + e.Signal.String() }

// Unwrap makes the error a cancellation.
func (*SignalError) Unwrap() error { return context.Canceled }

// leaves reports whether the configuration has the server leave the cluster when
// its context ends with the cause.
func leaves(cfg config.Server, cause error) bool {
	sent, ok := errors.AsType[*SignalError](cause)
	return ok && ((sent.Signal == os.Interrupt && cfg.LeaveOnInterrupt) || (sent.Signal == syscall.SIGTERM && cfg.LeaveOnTerminate))
}

// leave takes the server out of the cluster before it stops.
func (s *Server) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, leaveTimeout)
	defer cancel()
	if err := s.node.Leave(ctx); err != nil {
		s.log.Warn("leave the cluster; the server stops as a member", "error", err)
	}
}

// Leave takes the server out of the cluster, and has Run stop the server once the
// caller was answered.
func (s *Server) Leave(ctx context.Context) error {
	if err := s.node.Leave(ctx); err != nil {
		return err
	}
	s.leaving.Do(func() { close(s.left) })
	return nil
}

// autopilot lets the API read autopilot's state and change its configuration.
type autopilot struct{ *Server }

var _ httpapi.Autopilot = autopilot{}

// Autopilot returns autopilot's view of the servers.
func (a autopilot) Autopilot() (api.AutopilotState, error) { return a.node.Autopilot() }

// AutopilotConfig is the configuration in the replicated state, or this server's
// own while there is none.
func (a autopilot) AutopilotConfig() api.AutopilotConfig { return a.node.AutopilotConfig() }

// SetAutopilot replaces the configuration that has the ModifyIndex of next. It
// refuses with code stale_index when that is not the present one.
func (a autopilot) SetAutopilot(ctx context.Context, next api.AutopilotConfig, by api.Identity) (api.AutopilotConfig, error) {
	if _, err := a.node.Apply(ctx, &state.AutopilotPut{Config: next, Expect: next.ModifyIndex}, by.Name); err != nil {
		return api.AutopilotConfig{}, err
	}
	return a.node.AutopilotConfig(), nil
}

func autopilotConfig(c config.Autopilot) api.AutopilotConfig {
	return api.AutopilotConfig{
		CleanupDeadServers: c.CleanupDeadServers, DeadServerThreshold: api.Duration(c.DeadServerThreshold),
		LastContactThreshold: api.Duration(c.LastContactThreshold), MaxTrailingLogs: uint64(max(c.MaxTrailingLogs, 0)),
		MinQuorum: uint(max(c.MinQuorum, 0)), ServerStabilizationTime: api.Duration(c.ServerStabilizationTime),
	}
}

// health is this server's own health.
func (s *Server) health() httpapi.ServerHealth {
	v := httpapi.ServerHealth{Lag: s.node.Lag(), LastContact: s.node.SinceContact()}
	if err := s.node.Err(); err != nil {
		v.Because = append(v.Because, err.Error())
	}
	v.Warnings = append(v.Warnings, s.audit.Troubles()...)
	if v.Lag > lagMax {
		v.Because = append(v.Because, fmt.Sprintf("%d committed changes are not applied yet", v.Lag))
	}
	if _, leader := s.node.Leader(); leader == "" && v.LastContact >= 0 {
		v.Because = append(v.Because, fmt.Sprintf("the last contact with a leader was %s ago", v.LastContact.Round(time.Millisecond)))
	}
	seen, err := s.node.Autopilot()
	if err != nil {
		return v // only the leader knows more
	}
	v.Tolerance = &seen.FailureTolerance
	for _, p := range seen.Servers {
		if p.Healthy != nil && !*p.Healthy {
			v.Warnings = append(v.Warnings, "server "+p.ID+" is not healthy")
		}
	}
	for _, d := range seen.Divergent {
		v.Warnings = append(v.Warnings, fmt.Sprintf("the state of server %s differs from the leader's at index %d", d.Server, d.Index))
	}
	return v
}

// providers answer retry_join.
func (s *Server) providers() map[string]discover.Provider {
	if s.adapters.consul == nil {
		return nil
	}
	return map[string]discover.Provider{"consul": func(ctx context.Context, args map[string]string) ([]discover.Server, error) {
		service := args["service"]
		if service == "" {
			service = s.cfg.Consul.ServiceName
		}
		peers, err := s.adapters.consul.Peers(ctx, service, args["datacenter"], args["tag"])
		if err != nil {
			return nil, err
		}
		var out []discover.Server
		for _, p := range peers {
			out = append(out, discover.Server(p))
		}
		return out, nil
	}}
}

// register keeps the server registered in Consul. It is no duty: its closer
// deregisters the server before the duties end, while there is still a token.
func (s *Server) register(ctx context.Context) {
	if s.adapters.consul == nil || !s.cfg.Consul.Register {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = s.adapters.consul.KeepRegistered(ctx, s.registrar()) }) // it logs what fails, and tries again
	s.life.onStop("registration", func() error { cancel(); work.Wait(); return nil })
}

// registrar gives Consul's adapter the registration, and signals its changes.
func (s *Server) registrar() consul.Registrar {
	return consul.Registrar{
		Describe: s.registration, Changed: s.node.LeadershipChanged, Logger: s.log,
		Report: func() (bool, string) {
			if _, leader := s.node.Leader(); leader == "" {
				return false, "the cluster has no leader"
			}
			if v := s.health(); len(v.Because) > 0 {
				return false, v.Because[0]
			}
			return true, ""
		},
	}
}

func (s *Server) registration() consul.Registration {
	role := "follower"
	if s.node.IsLeader() {
		role = "leader"
	}
	r := consul.Registration{
		Service: s.cfg.Consul.ServiceName, Server: s.cfg.Name, Tags: append([]string{role}, s.cfg.Consul.Tags...),
		HTTP: s.cfg.Advertise.HTTP, Raft: s.node.Address(), Version: s.version, Cluster: s.cfg.Cluster, Member: s.node.Member(),
	}
	// Consul's agent checks the API at this address. It can't where the API speaks
	// TLS, for which the agent has no certificate, or listens on every address.
	if host, _, err := net.SplitHostPort(r.HTTP); err == nil && s.cfg.TLS.HTTP == nil && !slices.Contains([]string{"", "0.0.0.0", "::"}, host) {
		r.Health = (&url.URL{Scheme: "http", Host: r.HTTP, Path: "/v1/health"}).String()
	}
	return r
}

// ignored lists the services that do not belong to the application, among them
// this server's own registration. Nil means the mapper's default.
func (s *Server) ignored() []string {
	if s.cfg.Mapper.Ignore != nil || s.cfg.Consul == nil {
		return s.cfg.Mapper.Ignore
	}
	return append(mapper.DefaultIgnore(), s.cfg.Consul.ServiceName)
}
