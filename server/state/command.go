package state

import (
	"fmt"

	"github.com/oakumhq/oakum/server/state/levels"
)

// Type numbers a command in the log.
type Type uint16

// The command types. A number is never reused and never changes its meaning:
// logs and older servers hold them. Append only, and raise Supported with
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
	TypeRolloutChange     Type = 10 // level 2
	TypeAutopilotPut      Type = 11 // level 2
	TypeProfilesForget    Type = 12 // level 3
	TypeSimulationNote    Type = 13 // level 5
	TypeBrakeSet          Type = 14 // level 6
	TypeInventoryPiece    Type = 15 // level 7
	TypeInventoryPut      Type = 16 // level 7
	TypeInventoriesSeen   Type = 17 // level 7
	TypeInventoriesForget Type = 18 // level 7
	TypeReadingsChange    Type = 19 // level 8
	TypeRolloutProve      Type = 20 // level 8
	TypeNoticesMark       Type = 21 // level 8
)

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

// unknownError says that this binary can't apply a command without making its
// state differ from the other servers'.
type unknownError struct{ what string }

// Error says what to do about it.
func (e *unknownError) Error() string {
	return fmt.Sprintf("%s, and it knows up to level %d: upgrade this server; it goes on from its log", e.what, levels.Supported)
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
	case TypeRolloutChange:
		return &rolloutChange{}
	case TypeAutopilotPut:
		return &AutopilotPut{}
	case TypeProfilesForget:
		return &ProfilesForget{}
	case TypeSimulationNote:
		return &SimulationNote{}
	case TypeBrakeSet:
		return &BrakeSet{}
	case TypeInventoryPiece:
		return &InventoryPiece{}
	case TypeInventoryPut:
		return &InventoryPut{}
	case TypeInventoriesSeen:
		return &InventoriesSeen{}
	case TypeInventoriesForget:
		return &InventoriesForget{}
	case TypeReadingsChange:
		return &ReadingsChange{}
	case TypeRolloutProve:
		return &RolloutProve{}
	case TypeNoticesMark:
		return &NoticesMark{}
	}
	return nil
}
