// Package api holds the public nouns of Oakum: plain data that the replicated
// state stores, the CLI prints and the HTTP API carries. It imports only the
// standard library, takes no decisions and performs no effects.
//
// Conventions. Times are UTC. Durations marshal as Go duration strings
// ("1m30s"). Ratios are plain numbers (1.1 means ten percent more). Sizes are
// bytes, latencies are seconds, CPU is in cores, rates are per second.
package api
