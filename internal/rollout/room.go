package rollout

import "github.com/oakumhq/oakum/api"

// NoRoom is the error of a stage that was not registered, since Nomad's dry run places none
// or not all of its instances. It says nothing about the patch, and may be over at any time.
type NoRoom struct {
	Target api.TargetRef
	Why    string // what the nodes lack, or who rules them out
}

// Unsettled is the error of an effect that waits for the job's other groups. They are in
// the deployment of the stage, and get healthy by their own checks.
type Unsettled struct {
	Target api.TargetRef
	Others string // which of them is not healthy
}

// Error implements error.
func (e *Unsettled) Error() string {
	return "the deployment of job " + e.Target.Job + " waits for its other groups: " + e.Others
}

// Error implements error.
func (e *NoRoom) Error() string { return "no room for " + e.Target.String() + ": " + e.Why }
