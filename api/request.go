package api

// SimulationRequest asks for a sandbox run of a patch file on one target.
type SimulationRequest struct {
	File   SourceFile `json:"file"`
	Target TargetRef  `json:"target"`
}

// RolloutRequest goes with every action on a rollout. Note is recorded with it.
type RolloutRequest struct {
	Note string `json:"note,omitempty"`
}

// QuarantineLift says which quarantine to lift.
type QuarantineLift struct {
	Patch  string    `json:"patch"`
	Target TargetRef `json:"target"`
}

// PeerRequest names a server of the cluster by its ID.
type PeerRequest struct {
	ID string `json:"id"`
}

// StateInfo is the index, the cluster level and the hash of one server's replica.
// Replicas at the same index have the same hash.
type StateInfo struct {
	Server string `json:"server"`
	Index  uint64 `json:"index"`
	Level  int    `json:"level"`
	Hash   string `json:"hash"`
}

// AgentSelf answers /v1/agent/self: which server this is and whom it takes the
// caller for. Config is the agent's configuration without secrets.
type AgentSelf struct {
	Server   string            `json:"server"`
	Version  string            `json:"version"`
	Leader   bool              `json:"leader"`
	AuthOff  bool              `json:"auth_off,omitempty"` // -dev: every caller may do everything
	InClear  bool              `json:"in_clear,omitempty"` // it speaks plain HTTP where others reach it
	Identity Identity          `json:"identity"`
	Config   map[string]string `json:"config,omitempty"`
}
