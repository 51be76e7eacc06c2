package state

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/oakumhq/oakum/api"
)

// Type numbers a command in the log.
type Type uint16

// The command types. A number is never reused and never changes its meaning:
// logs and older servers hold them. Append only, and raise SupportedLevel with
// each addition, so that no server meets a command that it cannot apply.
const (
	TypePolicyPut         Type = 1
	TypePolicyDelete      Type = 2
	TypePatchSubmit       Type = 3
	TypeRolloutTransition Type = 4
	TypeSimulationPut     Type = 5
	TypeGraphChange       Type = 6
	TypeProfilesPut       Type = 7
	TypeQuarantineLift    Type = 8
	TypeLevelSet          Type = 9
)

// SupportedLevel is the newest cluster level that this binary knows.
const SupportedLevel = 1

// maxCommandBytes bounds one log entry. Raft sends entries whole, and a
// follower that needs longer than a heartbeat to take one in disturbs the
// cluster; 32 MiB holds a submission of several thousand rollouts.
const maxCommandBytes = 32 << 20

// Command is one intent that changes the replicated state. Only this package
// implements it.
type Command interface {
	// Type is the number of the command in the log.
	Type() Type
	// level is the cluster level at which the command was introduced.
	level() int
	// apply makes the change, or returns why not, having the transaction dropped.
	apply(*change) error
}

// envelope is a command as it stands in the log.
type envelope struct {
	Type  Type            `json:"type"`
	Level int             `json:"level"`
	At    time.Time       `json:"at"`
	By    string          `json:"by,omitempty"`
	Body  json.RawMessage `json:"body"`
}

// Encode makes a log entry of cmd. The leader stamps it with the time and with
// the name of whoever asked for it, because applying must not read a clock.
func Encode(cmd Command, at time.Time, by string) ([]byte, error) {
	body, err := json.Marshal(cmd)
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", cmd.Type(), err)
	}
	entry, err := json.Marshal(envelope{Type: cmd.Type(), Level: cmd.level(), At: at.UTC(), By: by, Body: body})
	if err != nil {
		return nil, fmt.Errorf("encode command %d: %w", cmd.Type(), err)
	}
	if len(entry) > maxCommandBytes {
		return nil, api.Errorf(api.CodeInvalid, "the change is too large: %d bytes, at most %d fit into the log", len(entry), maxCommandBytes)
	}
	return entry, nil
}

// unknownTypeError says that a command cannot be applied by this binary.
type unknownTypeError struct {
	kind  Type
	level int
}

// Error says what to do about it.
func (e *unknownTypeError) Error() string {
	return fmt.Sprintf("command type %d of cluster level %d is unknown to this server, which supports level %d: "+
		"it must be upgraded, because leaving the command out would make its state differ from the other servers'",
		e.kind, e.level, SupportedLevel)
}

// decode reads a log entry. Fields that the command does not know are ignored:
// the cluster level keeps a newer meaning away from an older server.
func decode(entry []byte) (envelope, Command, error) {
	var env envelope
	if err := json.Unmarshal(entry, &env); err != nil {
		return envelope{}, nil, api.Errorf(api.CodeInvalid, "read command: %v", err)
	}
	if env.Type == 0 {
		return envelope{}, nil, api.Errorf(api.CodeInvalid, "read command: it has no type")
	}
	cmd := newCommand(env.Type)
	if cmd == nil {
		return envelope{}, nil, &unknownTypeError{kind: env.Type, level: env.Level}
	}
	if err := json.Unmarshal(env.Body, cmd); err != nil {
		return envelope{}, nil, api.Errorf(api.CodeInvalid, "read command %d: %v", env.Type, err)
	}
	return env, cmd, nil
}

// newCommand returns an empty command of the type, or nil.
func newCommand(t Type) Command {
	switch t {
	case TypePolicyPut:
		return &PolicyPut{}
	case TypePolicyDelete:
		return &PolicyDelete{}
	case TypePatchSubmit:
		return &PatchSubmit{}
	case TypeRolloutTransition:
		return &RolloutTransition{}
	case TypeSimulationPut:
		return &SimulationPut{}
	case TypeGraphChange:
		return &GraphChange{}
	case TypeProfilesPut:
		return &ProfilesPut{}
	case TypeQuarantineLift:
		return &QuarantineLift{}
	case TypeLevelSet:
		return &LevelSet{}
	}
	return nil
}
