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
	// leaveTimeout bounds the leave of a server that was told to end: a transfer
	// of leadership and a change of membership, each with a retry.
	leaveTimeout = 15 * time.Second
	// lagMax is how far behind the log a server may be and still count as ready:
	// what a cluster under load applies in some tens of milliseconds.
	lagMax = 250
)

// SignalError is the cause with which the context of Run ends when a signal
// ends it. It decides whether the server leaves the cluster or only stops.
type SignalError struct{ Signal os.Signal }

// Error names the signal.
func (e *SignalError) Error() string { return "signal: " + e.Signal.String() }

// Unwrap says that a signal cancels.
func (*SignalError) Unwrap() error { return context.Canceled }

// leaves reports whether the configuration has a server leave for the cause.
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

// Leave takes the server out of the cluster, and has it stop once the caller
// was answered.
func (s *Server) Leave(ctx context.Context) error {
	if err := s.node.Leave(ctx); err != nil {
		return err
	}
	s.leaving.Do(func() { close(s.left) })
	return nil
}

// autopilot lets the API ask and set autopilot.
type autopilot struct{ *Server }

var _ httpapi.Autopilot = autopilot{}

// Autopilot tells what autopilot sees.
func (a autopilot) Autopilot() (api.AutopilotState, error) { return a.node.Autopilot() }

// AutopilotConfig is what the cluster keeps, or else this server's own.
func (a autopilot) AutopilotConfig() api.AutopilotConfig { return a.node.AutopilotConfig() }

// SetAutopilot replaces the configuration that it was made from.
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

// vitals is this server's own health.
func (s *Server) vitals() httpapi.Vitals {
	v := httpapi.Vitals{Lag: s.node.Lag(), LastContact: s.node.SinceContact()}
	if err := s.node.Err(); err != nil {
		v.Because = append(v.Because, err.Error())
	}
	if v.Lag > lagMax {
		v.Because = append(v.Because, fmt.Sprintf("%d committed changes are not applied yet", v.Lag))
	}
	if _, leader := s.node.Leader(); leader == "" && v.LastContact >= 0 {
		v.Because = append(v.Because, fmt.Sprintf("the last word of a leader is %s old", v.LastContact.Round(time.Millisecond)))
	}
	seen, err := s.node.Autopilot()
	if err != nil {
		return v // it does not lead
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
	if s.out.consul == nil {
		return nil
	}
	return map[string]discover.Provider{"consul": func(ctx context.Context, args map[string]string) ([]discover.Server, error) {
		service := args["service"]
		if service == "" {
			service = s.cfg.Consul.ServiceName
		}
		peers, err := s.out.consul.Peers(ctx, service, args["datacenter"], args["tag"])
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

// register keeps the server registered. It is no duty like the others: it takes
// its leave of Consul before they end, while there is still a token for it.
func (s *Server) register(ctx context.Context) {
	if s.out.consul == nil || !s.cfg.Consul.Register {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { _ = s.out.consul.KeepRegistered(ctx, s.registrar()) }) // what fails is told and tried again
	s.life.onStop("registration", func() error { cancel(); work.Wait(); return nil })
}

// registrar keeps this server's registration in Consul true.
func (s *Server) registrar() consul.Registrar {
	return consul.Registrar{
		Describe: s.registration, Changed: s.node.LeadershipChanged, Logger: s.log,
		Report: func() (bool, string) {
			if _, leader := s.node.Leader(); leader == "" {
				return false, "the cluster has no leader"
			}
			if v := s.vitals(); len(v.Because) > 0 {
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
	// Consul's agent has no certificate for an API that speaks TLS, and can't
	// ask at an address that it does not know.
	if host, _, err := net.SplitHostPort(r.HTTP); err == nil && s.cfg.TLS.HTTP == nil && !slices.Contains([]string{"", "0.0.0.0", "::"}, host) {
		r.Health = (&url.URL{Scheme: "http", Host: r.HTTP, Path: "/v1/health"}).String()
	}
	return r
}

// ignored are the services that are not the application's: this server's own
// registration among them. Nil means the mapper's default.
func (s *Server) ignored() []string {
	if s.cfg.Mapper.Ignore != nil || s.cfg.Consul == nil {
		return s.cfg.Mapper.Ignore
	}
	return append(mapper.DefaultIgnore(), s.cfg.Consul.ServiceName)
}
