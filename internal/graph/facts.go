package graph

import "github.com/oakumhq/oakum/api"

// Mesh is what a service mesh knows besides its permissions.
type Mesh struct {
	// Declared is what proxies, routes and gateways were told to reach, each with
	// what says so.
	Declared map[Pair][]string
	// Offered is what is exported to somebody beyond: From is that peer or
	// partition. It may be used, and nobody here can see whether it is.
	Offered  map[Pair][]string
	Services []api.Service
	// Behind names the gateway that all traffic to a service runs through.
	Behind map[string]string
	// Passing lists gateways that pass on what others ask for: what they are
	// seen to reach is their callers' dependency and not their own.
	Passing []string
	// Transparent lists services that may call whatever an intention allows,
	// without an upstream of its own for it.
	Transparent []string
	// Addresses says which service stands behind host:port.
	Addresses map[string]string
}

// Instance is one running copy of a target.
type Instance struct {
	ID        string // allocation
	Target    api.TargetRef
	Node      string
	Rack      string // empty when it is not known
	Healthy   bool
	Addresses []string // host:port
}

// Layout is what runs where.
type Layout struct {
	Targets   []api.Target
	Instances []Instance
	Volumes   map[api.TargetRef][]string // as csi/NAME or host/NAME
	Partial   string                     // what is known to be missing
}

// Registration is one entry of a catalog without a mesh.
type Registration struct {
	Service  string
	Instance string // allocation, or empty
	Node     string
	Address  string // host:port
}

// Directory is what a catalog without a mesh knows.
type Directory struct {
	Registrations []Registration
	// Needs is what jobs look up in it: From is the service that asks, or the
	// job where it registers none. Each with what says so.
	Needs   map[Pair][]string
	Partial string
}
