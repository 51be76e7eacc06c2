package fleet

import (
	"time"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/fleet/load"
)

// Build is what instances run: a group of a job at one version.
type Build struct {
	Target  api.TargetRef
	Version uint64
	Group   *Group // builds differ by Spec, Tasks and Meta
}

// Behaviour is what a build does to its instances. The zero value is an
// instance that starts at once, answers at once and runs for ever.
type Behaviour struct {
	Start, StartMost time.Duration // from placement until the tasks run, drawn between the two
	Boot, BootMost   time.Duration // from then until it answers, drawn between the two
	NeverStarts      float64       // share of the instances whose tasks stay pending, as those do whose image is away
	NeverBoots       float64       // share of the instances that run and never answer
	CrashAfter       time.Duration // each run ends this long after its start; 0 means never
	CrashShare       float64       // share of the runs that CrashAfter ends; 0 means all
	Runs             time.Duration // of a batch job: how long until it is complete; 0 means at once
	Stop             time.Duration // from the word until the tasks have ended
	Harm             load.Harm     // to requests and machines, while the instance runs
}
