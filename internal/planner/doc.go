// Package planner says which targets a patch goes to, in which order, how and
// when. It is pure: the same input gives the same plan, with the same digest.
//
// # Order
//
// Least critical first. Targets that no policy calls critical go before critical
// ones, so that a bad patch shows where it hurts least. Within each of these two
// phases a service goes before the services that it depends on: every dependant
// of a service has then been patched before it, and the number of dependants
// grows from wave to wave. Only certain edges order targets, also through
// services that the patch leaves alone. Services that depend on each other in a
// circle have no order among them.
//
// Targets whose policy says order = "exposed_first" go before all others, the most
// exposed first, critical or not; edges order nothing among them. Exposure is what is
// still affected, weighted by reach from outside, severity, known exploits and
// dependants (exposureOf). What nobody knows counts in full. Where the patch does not say
// whom it affects there is no exposure, and the order is the ordinary one.
//
// Targets whose policy says order = "callees_first" go after those, in one phase, critical
// or not: a service goes after the services that it depends on, so that callers meet
// patched ones only. "callers_first" is the other way round. Both go before targets of the
// ordinary order.
//
// # Whom a plan leaves alone
//
// A target that its policies do not select is not refused: there is nothing to do, and
// the plan says why.
//
// # Waves
//
// A wave holds targets that may go at once: all that have to go before them
// are in earlier waves, no two of them are joined by a possible edge when the
// budget of one says that neighbours exclude each other, there are not more of
// them than the targets of any of their budgets, and their windows and freezes
// let them start at the same moment. Waves are filled one after the other, the
// targets with the longest chain behind them first, then the least critical.
// The number of waves stays close to the lower bound that chains and budgets
// set (Bound).
//
// A wave's opening time is zero when it may start at once. Later waves wait for
// the end of the earlier ones as well, and each rollout checks its own windows
// again when its turn comes.
//
// Where the policy says prefer = "lowest_load", a wave starts at the quietest
// hour of the next day that the windows allow, by the load of each hour of the
// week; see quietest.
package planner
