package rollout

import "github.com/oakumhq/oakum/api"

// NoRoom is the error of a stage that was not registered, since Nomad's dry run places none
// or not all of its instances. It says nothing about the patch, and may be over at any time.
type NoRoom struct {
	Target api.TargetRef
	Why    string // what the nodes lack, or who rules them out
}

// Error implements error.
func (e *NoRoom) Error() string { return "no room for " + e.Target.String() + ": " + e.Why }
