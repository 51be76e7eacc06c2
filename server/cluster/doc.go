// Package cluster joins servers into one: it brings Raft up over the replicated
// state, forms the cluster, applies commands, tells who leads, and carries the
// servers' conversations with each other.
//
// One port serves both Raft and HTTP between the servers. The first byte of a
// connection says which of the two it is, so that a further kind can be added
// without another port.
//
// Goroutines of a Node, all ended and waited for by Close: the accept loop and
// one short-lived reader of the first byte per connection, the internal HTTP
// server, the watcher of leadership, the loop that forms the cluster until the
// server belongs to one, the pilot with those of raft-autopilot while this server
// leads, the one that hashes the state, and those that wait for the outcome of a Raft call
// whose caller may give up earlier. Raft has its own.
//
// The package must not know what commands mean or perform effects on the world.
package cluster
