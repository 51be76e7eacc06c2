// Package stack runs the real stack on loopback: Consul with its mesh and ACLs,
// Vault with the identities of the callers, statsd_exporter, Prometheus, a
// Nomad server and Nomad clients. The end-to-end tests, the demo and the
// command in cmd/stack use it.
//
// A stack lives in one directory, which holds its configuration, data, logs,
// secrets, the process list (pids.json) and its description (stack.json), so
// that another process can open, bend and end it. Agents are started in
// sessions of their own and outlive the process that started them.
//
// Goroutines: one per agent started by this process, which waits for that
// agent so that it leaves no zombie, and one per service of
// KeepIntentionsFresh, which the caller ends by its context. Neither changes
// the stack.
package stack
