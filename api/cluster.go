package api

import "time"

// ServerInfo describes one server of the cluster. The fields that the server reports
// itself are empty when it does not answer.
type ServerInfo struct {
	ID          string    `json:"id"`
	Address     string    `json:"address"` // raft and node-to-node
	Leader      bool      `json:"leader"`
	Voter       bool      `json:"voter"`
	NonVoter    bool      `json:"non_voter,omitempty"` // it is configured never to vote
	Version     string    `json:"version,omitempty"`
	Level       int       `json:"level,omitempty"` // newest cluster level that it supports
	LastIndex   uint64    `json:"last_index,omitempty"`
	LastTerm    uint64    `json:"last_term,omitempty"`
	Lag         uint64    `json:"lag"`                    // log entries that it is behind the one that is furthest
	LastContact Duration  `json:"last_contact,omitempty"` // how long ago the leader last contacted it, by its own report
	Silent      string    `json:"silent,omitempty"`       // why it does not answer
	Healthy     *bool     `json:"healthy,omitempty"`      // as autopilot sees it; only the leader knows
	StableSince time.Time `json:"stable_since,omitzero"`  // since when it is healthy, or not
}

// AutopilotConfig says when a server is healthy, when it may vote, and when a
// dead one is taken out. The cluster keeps it.
type AutopilotConfig struct {
	CleanupDeadServers      bool     `json:"cleanup_dead_servers"`
	DeadServerThreshold     Duration `json:"dead_server_threshold"`     // silent for this long, a server is dead
	LastContactThreshold    Duration `json:"last_contact_threshold"`    // without word from the leader for longer, it is not healthy
	MaxTrailingLogs         uint64   `json:"max_trailing_logs"`         // further behind, it is not healthy
	MinQuorum               uint     `json:"min_quorum"`                // voters that a cleanup leaves at least
	ServerStabilizationTime Duration `json:"server_stabilization_time"` // healthy for this long, a newcomer may vote
	ModifyIndex             uint64   `json:"modify_index,omitempty"`    // 0 while the leader goes by its own configuration
}

// AutopilotState is autopilot's view of the servers.
type AutopilotState struct {
	Healthy          bool         `json:"healthy"`           // every server is
	FailureTolerance int          `json:"failure_tolerance"` // healthy voters that may be lost without an outage
	Leader           string       `json:"leader"`
	Voters           []string     `json:"voters"`
	Servers          []ServerInfo `json:"servers"`
	Divergent        []Divergence `json:"divergent,omitempty"`
}

// Divergence is a server whose state is not the leader's although both had
// applied the same log.
type Divergence struct {
	Server string    `json:"server"`
	Index  uint64    `json:"index"`
	Hash   string    `json:"hash"`
	Leader string    `json:"leader_hash"`
	Since  time.Time `json:"since"` // when the leader first saw it
}

// HealthReport answers /v1/health.
type HealthReport struct {
	Live        bool           `json:"live"`
	Ready       bool           `json:"ready"`
	Because     []string       `json:"because,omitempty"`  // why it is not ready
	Warnings    []string       `json:"warnings,omitempty"` // what needs somebody's attention although it is ready
	Leader      string         `json:"leader,omitempty"`
	Server      string         `json:"server"`
	Index       uint64         `json:"index"`
	Lag         uint64         `json:"lag"`                         // committed log entries that it has not applied yet
	LastContact Duration       `json:"last_contact,omitempty"`      // how long ago a leader last contacted it
	Tolerance   *int           `json:"failure_tolerance,omitempty"` // on the leader: voters that may be lost
	Sources     []SourceStatus `json:"sources,omitempty"`
	Brake       *Brake         `json:"brake,omitempty"` // while it is on
}

// OpenIntent is an effect on the world that was announced in the log and whose
// outcome is not there yet.
type OpenIntent struct {
	Rollout  string        `json:"rollout"`
	Patch    string        `json:"patch"`
	Target   TargetRef     `json:"target"`
	Status   RolloutStatus `json:"status"` // of the rollout
	Effect   string        `json:"effect"` // its ID
	Kind     EffectKind    `json:"kind"`
	Stage    int           `json:"stage,omitempty"`
	Intended time.Time     `json:"intended"`
	By       string        `json:"by,omitempty"`      // server that announced it
	Term     uint64        `json:"term,omitempty"`    // of its leadership
	Trouble  string        `json:"trouble,omitempty"` // the newest hold of the rollout: what keeps the effect from its end
}
