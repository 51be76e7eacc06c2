// Package cluster is one server's part in its cluster: it brings Raft up over the
// replicated state, bootstraps or joins a cluster, applies commands, says who leads,
// and keeps the membership healthy with raft-autopilot.
//
// Below it are package port, the one port between the servers, and package disk, the
// data directory.
//
// Close ends all goroutines of a Node and waits for them: the HTTP server for other
// servers, the watcher of leadership, the watcher of the state machine, the
// bootstrapper until this server is a member, the delegate of raft-autopilot with
// raft-autopilot's own, the one that hashes the state, and one for each call into
// Raft whose caller may give up earlier. Raft has its own, and ends them first.
//
// The package must not know what commands mean, nor change anything outside of the
// cluster.
package cluster
