// Package policies is the language in which people say whether, how and when
// a target is patched. It parses policy and patch files (HCL), checks them
// before anything is applied, and evaluates them on facts that the caller
// gives.
//
// The package is pure: it reads no clock, opens no file, starts no goroutine
// and keeps nothing between calls. The same files and the same facts give the
// same decision on every server.
//
// # Which policy decides
//
// Every policy block whose applies condition holds for a target matches it; a
// block without applies matches everything. Matching blocks are ordered by
// specificity, most specific first, and blocks of equal specificity by name.
// The specificity of a block is its specificity argument when it has one, and
// otherwise the number of conditions that its applies joins with &&:
//
//	applies = target.namespace == "prod" && target.meta.tier == "1"   # 2
//	applies = target.job == "a" || target.job == "b"                  # 1, the lesser side
//	(no applies)                                                      # 0
//
// Critical, select, simulate, strategy, judge, rollback, deadline, order and prefer are
// taken from the most specific block that sets them, argument by argument (the kpi
// blocks of a judge go together). A strategy block is chosen when its when
// condition holds, the first in the file first; a policy none of whose
// strategy blocks holds leaves the choice to the next less specific one.
//
// Budgets, windows, freezes and approvals of all matching blocks hold at once:
// the least number of a budget wins, a wave starts only inside a window of
// every policy that has windows, no freeze may be on, and the largest approval
// count is asked for. A key that a patch sets must be allowed by every changes block, or
// be on the shipped list, and no block may deny it. Two matching policies that ask for the consent of
// different groups are an error: the target is refused until they agree.
//
// # What expressions may say
//
// Expressions range over target, patch, impact, graph, cluster and now, whose
// attributes are a closed and typed set, and over a closed set of functions
// without effects. An unknown attribute, an unknown function, a type error or
// a comparison that can never hold is a diagnostic when the file is parsed.
// There are no loops: for expressions can't be nested, and files have limits
// on size, nesting and operators.
//
// What nobody knows, such as the packages of a target without an inventory, has no
// value: an expression that depends on it is an error when the policy is evaluated.
//
// Before the simulation, everything of impact but simulated is null. A key that
// target.meta or impact.ratio lacks is null. Comparing null for
// equality gives false; any other use of null is an error when the policy is
// evaluated, and the target is refused.
package policies
