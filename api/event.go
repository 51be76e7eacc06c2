package api

import (
	"encoding/json"
	"time"
)

// Topic groups events.
type Topic string

// Topics of the event stream.
const (
	TopicPolicy     Topic = "policy"
	TopicPatch      Topic = "patch"
	TopicRollout    Topic = "rollout"
	TopicEffect     Topic = "effect"
	TopicSimulation Topic = "simulation"
	TopicGraph      Topic = "graph"
	TopicProfile    Topic = "profile"
	TopicQuarantine Topic = "quarantine"
	TopicBrake      Topic = "brake"
	TopicInventory  Topic = "inventory"
)

// Event is one line of the record: what changed, written in the transaction
// that changed it.
type Event struct {
	Index   uint64          `json:"index"`
	Number  int             `json:"number"` // within the index
	Topic   Topic           `json:"topic"`
	Type    string          `json:"type"` // such as rollout_running, effect_done
	Key     string          `json:"key"`  // ID of the thing
	At      time.Time       `json:"at"`   // as the leader stamped the command
	Text    string          `json:"text"` // one sentence for a person
	Payload json.RawMessage `json:"payload,omitempty"`
}

// StreamEnd is the last line of an event stream that the server ends for a reason which
// the caller should know, such as a token that has expired.
type StreamEnd struct {
	Error *Error `json:"error,omitempty"`
}
