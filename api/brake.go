package api

import (
	"fmt"
	"strings"
	"time"
)

// Brake is the cluster's brake. While it is on, nothing goes forward; rollbacks go.
type Brake struct {
	On          bool      `json:"on"`
	By          string    `json:"by,omitempty"`     // who put it on or took it off; empty when it was never on
	Since       time.Time `json:"since,omitzero"`   // as the leader stamped the command
	Reason      string    `json:"reason,omitempty"` // why it is on; empty while it is off
	ModifyIndex uint64    `json:"modify_index,omitempty"`
}

// BrakeReasonMax bounds the reason of a brake, in bytes.
const BrakeReasonMax = 4096

// String says in one clause whether the brake is on, since when, by whom and why.
func (b Brake) String() string {
	switch {
	case b.Since.IsZero():
		return "the brake is off"
	case !b.On:
		return fmt.Sprintf("the brake is off since %s by %s", stampOf(b.Since), b.By)
	}
	return fmt.Sprintf("the brake is on since %s by %s: %s", stampOf(b.Since), b.By, b.Reason)
}

// stampOf is a time of the day for people, as the holds of rollouts have it.
func stampOf(t time.Time) string { return t.UTC().Format("15:04:05 MST") }

// Check returns an error when the brake can't be as it says.
func (b Brake) Check() error {
	switch {
	case b.By == "":
		return Errorf(CodeInvalid, "brake: want who asks for it, have nobody")
	case b.On && strings.TrimSpace(b.Reason) == "":
		return Errorf(CodeInvalid, "brake: want a reason for those who find it on, have none")
	case len(b.Reason) > BrakeReasonMax:
		return Errorf(CodeInvalid, "brake: the reason has %d bytes, at most %d are kept", len(b.Reason), BrakeReasonMax)
	}
	return nil
}

// BrakeRequest puts the brake on, with a reason, or takes it off.
type BrakeRequest struct {
	On     bool   `json:"on"`
	Reason string `json:"reason,omitempty"`
}
