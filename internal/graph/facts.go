package graph

import "github.com/oakumhq/oakum/api"

// Mesh is what a service mesh declares. Its permissions are apart, in Permissions.
type Mesh struct {
	// Declared holds the pairs that proxies, routes and gateways declare. The
	// strings name the declarations.
	Declared map[Pair][]string
	// Offered holds the services that are exported to a peer or partition, which
	// is From. It may use them, and no source here can see whether it does.
	Offered  map[Pair][]string
	Services []api.Service
	// Behind maps a service to the gateway that all of its traffic runs through.
	Behind map[string]string
	// Passing lists the gateways that only forward their callers' requests. The
	// traffic that they send is their callers' dependency.
	Passing []string
	// Transparent lists services whose proxy may call whatever an intention
	// allows. They need no declared upstream.
	Transparent []string
	// Addresses maps host:port to a service.
	Addresses map[string]string
	// Revision is another one for each other mesh of the same source; 0 says nothing.
	Revision uint64
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

// Layout says which instances of which targets run on which nodes.
type Layout struct {
	Targets   []api.Target
	Instances []Instance
	Volumes   map[api.TargetRef][]string // as csi/NAME or host/NAME
	Partial   string                     // what is known to be missing
	Revision  uint64                     // another one for each other layout of the same source; 0 says nothing
}

// Registration is one entry of a service catalog without a mesh.
type Registration struct {
	Service  string
	Instance string // allocation, or empty
	Node     string
	Address  string // host:port
}

// Directory is the content of a service catalog without a mesh.
type Directory struct {
	Registrations []Registration
	// Needs holds the services that jobs look up. From is the asking service, or
	// the job if it registers no service. The strings name the lookups.
	Needs   map[Pair][]string
	Partial string
}
