// Package judge decides, look by look, whether a canary is worse than what it
// replaces, with a guarantee on how often it is wrong.
//
// A Bank holds one e-process per KPI and direction (package stats). It aborts
// when the evidence that a KPI is worse than its margin reaches 1/(w*alpha),
// where w is the KPI's share of the allowed false alarms, and promotes only
// when every KPI has shown with 1/beta that it is better than its other
// margin. In between it continues. How often it looks does not matter.
//
// What the margins mean. For counts, abort needs proof that the canary's rate
// exceeds max(abort_above * stable, stable + ignore_below); promotion needs
// proof that it is below promote_below * stable or below stable + ignore_below.
// For gauges the same holds for the means. For latencies it holds for the
// distribution: abort needs proof that at some quantile up to the KPI's own the
// canary is slower than max(abort_above * x, x + ignore_below) where stable has
// x; promotion needs the opposite at the KPI's own quantile. Histograms resolve
// this to their buckets: see latency.go.
//
// What never promotes: a KPI without data, a sample that is not a number,
// silence. Low traffic continues. A bank is a value that JSON carries exactly,
// so another process resumes it and comes to the same verdict.
//
// The package is pure.
package judge
