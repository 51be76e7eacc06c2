// Package server is the daemon. It opens the replicated state, the adapters and
// the components, wires them to each other and to the use cases in server/service,
// and closes them in reverse. It owns nothing else and decides nothing.
//
// Goroutines: one for each background duty of Start (the login to Vault, the
// token sources, the HTTP API, the terms of leadership), one for the registration
// in Consul, and during a term one each for the mapper, the profiler, the
// orchestrator and the use cases. Stop waits for all of them, for stopTimeout at
// most, with two goroutines of its own: one closes, the other watches the limit.
package server
