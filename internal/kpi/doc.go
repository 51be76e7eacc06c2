// Package kpi says what is measured and where it is read.
//
// A Reader asks the sources: counters, histograms and gauges by PromQL, and CPU,
// memory and restarts by Nomad's allocation statistics. What they answer is a
// Reading. Two readings in a row give either side what it needs:
//
//   - A Sampler reads the whole fleet, round after round, and returns samples: one
//     for each KPI of each target. A source that does not answer is logged, and the
//     round goes on without it. Package profiler learns from them.
//   - Reader.Read reads the two arms of one rollout, and Last.Measure compares the
//     reading with what the look before has left. A source that does not answer is
//     an error that names it. Package canary judges by them.
//
// Nothing here knows what is usual, and nothing here decides.
package kpi
