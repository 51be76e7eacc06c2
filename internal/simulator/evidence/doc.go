// Package evidence says what pairs of twins have shown about a patch: whether it made a
// KPI worse, whether it did not, and what else the run could have seen.
//
// A Panel takes the looks at both machines of a pair, and each pair as a whole. It is
// pure: it starts no request and reads no clock, and the same looks give the same verdict.
//
// False alarms. Of the policy's false_alarm each KPI has its weight, and each way to reject
// by it a part. The panel states no more than the union of all parts, whatever KPIs have in
// common.
package evidence
