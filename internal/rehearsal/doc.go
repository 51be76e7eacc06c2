// Package rehearsal plays the plan of a patch against a model of the operator's
// own fleet, many times, in virtual time. Facts and a patch go in, a report comes
// out; the same facts, patch and seed give the same report.
//
// What decides is what decides in production: the planner makes the plan, the
// orchestrator takes its turns with the clock of the play, package rollout steps,
// the policies' windows open, the strategies advise, and the judge's bank says
// when a stage goes on or back. What is not real is the world: each
// target is in a fleet in memory of its own, whose instances become healthy after
// times that were seen before, and KPIs are drawn from the recorded profiles, which
// a bad patch makes worse by a stated factor.
//
// Virtual time jumps to the next moment at which something can be new. In between,
// production takes a turn each tick, sees the same world and changes nothing; nor
// does it for a look of the judge that leaves a stage undecided, so that a
// judgement runs ahead to the look that decides. Every look is drawn and observed.
//
// Approximations, beside the assumptions that each report lists. A KPI is drawn as
// its reference has it, whatever the hour; only the load follows the hour of the
// week. Histograms are known to their buckets, within which requests above a
// latency fall off as a power. Looks fall on ticks exactly. Requests are counted to
// the tick.
//
// It has goroutines, one for each processor, which end with Run; a play is one
// goroutine's alone.
package rehearsal
