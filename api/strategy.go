package api

import "encoding/json"

// AdviceAction is what a strategy proposes.
type AdviceAction string

// Proposals. A host checks each against policy and budget before it acts.
const (
	AdviceStage    AdviceAction = "stage"    // go to Percent patched instances
	AdvicePromote  AdviceAction = "promote"  // beside: take the former instances away
	AdviceFinish   AdviceAction = "finish"   // every instance runs the patch: done
	AdviceHold     AdviceAction = "hold"     // wait, with a reason
	AdviceRollback AdviceAction = "rollback" // turn back, with a reason
)

// Advice is a strategy's proposal for what comes next.
type Advice struct {
	Action  AdviceAction `json:"action"`
	Percent int          `json:"percent,omitempty"` // stage: 1 to 100, more than the stage before
	Mode    StageMode    `json:"mode,omitempty"`    // stage
	Reason  string       `json:"reason"`
}

// StrategyView is the read-only picture that a strategy decides from. It is
// consulted when the present stage is settled: at the start, and after each
// stage whose verdict was promote.
type StrategyView struct {
	Rollout    string          `json:"rollout"`
	Target     Target          `json:"target"`
	Critical   bool            `json:"critical"`
	Config     json.RawMessage `json:"config"`
	Stages     []Stage         `json:"stages"`
	Instances  []Instance      `json:"instances"`
	Neighbours []string        `json:"neighbours"` // services joined to the target's by a possible edge
	Verdict    *Verdict        `json:"verdict,omitempty"`
}

// ConfigSchema is what a strategy accepts in its policy block.
type ConfigSchema struct {
	Attributes []ConfigAttribute `json:"attributes"` // sorted by name
}

// ConfigAttribute is one argument of a strategy block. Type is one of number,
// string, bool, list(number), list(string).
type ConfigAttribute struct {
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	Required bool            `json:"required,omitempty"`
	Default  json.RawMessage `json:"default,omitempty"`
	Doc      string          `json:"doc"`
}

// PluginInfo describes one strategy plugin.
type PluginInfo struct {
	Name     string       `json:"name"`
	Version  string       `json:"version"`
	Protocol int          `json:"protocol"`
	Builtin  bool         `json:"builtin"`
	Path     string       `json:"path,omitempty"`
	SHA256   string       `json:"sha256,omitempty"`
	Schema   ConfigSchema `json:"schema"`
	Healthy  bool         `json:"healthy"`
	Error    string       `json:"error,omitempty"`
}
