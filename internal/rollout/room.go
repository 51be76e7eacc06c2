package rollout

import "github.com/oakumhq/oakum/api"

// NoRoom is the error of a stage that was not registered, since Nomad's dry run places none
// or not all of its instances. It says nothing about the patch, and may be over at any time.
type NoRoom struct {
	Target api.TargetRef
	Why    string // what the nodes lack, or who rules them out
}

// Unsettled is the error of an effect that waits for the job's other groups. They are in
// the deployment of the stage, and get healthy by their own checks, or fail it.
type Unsettled struct {
	Target api.TargetRef
	Others string // which of them is not healthy, or that the deployment has failed
}

// outdone reports whether another group of the job has failed the deployment of a stage,
// so that Nomad took its canaries away or replaces none that it has lost. The next
// registration of the stage begins another deployment.
func outdone(v JobView, want int) bool {
	return v.Build == api.BuildPatched && v.Failed && v.Others != "" && v.Tally().Patched < want
}

// Revertible reports whether Nomad would take the patch off again when the job had its own
// update blocks now: one of them has auto_revert, and Nomad does not call the patched
// version stable. A deployment of all groups begins with those blocks, and any of them can
// fail it.
func Revertible(v JobView) bool { return v.Reverts && !v.Stable && (v.Count > 0 || v.Failed) }

// Unpromoted reports whether a job with an instance on each node has canaries on some of them
// that no promotion waits for any more. One that was lost meanwhile could not be promoted, and
// another deployment has none.
func Unpromoted(v JobView) bool { return v.PerNode && !v.Settled && !v.Promoted }

// Error implements error.
func (e *Unsettled) Error() string {
	return "the deployment of job " + e.Target.Job + " is not over: " + e.Others
}

// Error implements error.
func (e *NoRoom) Error() string { return "no room for " + e.Target.String() + ": " + e.Why }
