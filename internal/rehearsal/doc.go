// Package rehearsal plays the plan of a patch many times against a model of the
// operator's fleet, in virtual time. It takes facts and a patch and returns a
// report. The same facts, patch and seed give the same report.
//
// The decisions are those of production. The planner makes the plan. The
// orchestrator takes its turns with the clock of the play. Package rollout steps,
// the policies' windows open, the strategies advise, and the judge decides about
// each stage. The world is a model: each target is alone in a fleet in memory. Its
// instances become healthy after times that were recorded in production. KPIs are
// drawn from the recorded profiles, and a bad patch makes them worse by a stated
// factor.
//
// Virtual time jumps to the next moment at which something can change. Production
// takes a turn at each tick in between, sees the same world, and changes nothing.
// The same is true of a look that leaves a stage undecided: a judgement therefore
// runs ahead to the look that decides. Every look is drawn and given to the judge.
//
// Approximations, beside the assumptions that each report lists. A KPI is drawn
// from its reference whatever the hour; only the load follows the hour of the
// week. A histogram is known only to its buckets, and within a bucket the number
// of requests above a latency falls as a power. Looks happen exactly at ticks.
// Requests are counted to the tick.
//
// Run starts one goroutine for each processor and waits for them. A play belongs
// to one goroutine.
package rehearsal
