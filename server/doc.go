// Package server is the daemon: it opens the replicated state, the adapters and
// the components, wires them to each other, and closes them in reverse. It
// owns nothing else and decides nothing.
//
// Goroutines: one for each background duty of Start (the login to Vault, the
// token sources, the HTTP API, the terms of leadership), and during a term one
// each for the mapper, the profiler and the orchestrator. Stop waits for all.
package server
