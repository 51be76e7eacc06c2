// Package httpapi serves Oakum's HTTP API: it authenticates the caller, checks
// the capability that the route asks for, sends the request to the leader when
// this server does not lead, and translates between HTTP and the calls of the
// server. It decides nothing about patches itself.
//
// All routes stand in one table (routes.go). A route that is not in the table
// does not exist, and a route without an explicit exception needs a capability:
// deny is the default.
//
// Forwarding happens in one place (forward.go) and carries the caller's own
// headers, so that the leader authenticates the caller and not the follower.
//
// The goroutines of an API are those of its HTTP server; Serve waits for them.
package httpapi
