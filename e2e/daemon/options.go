package daemon

import "time"

// Options say what to run. Without them, a server has the configuration that an
// operator would write for the systems beside it.
type Options struct {
	Binary  string
	Dir     string // folder of the configurations and logs
	Servers int    // how many; they form one cluster
	Host    Host   // where they run; nil means Loopback(AnyPorts)

	Issuer  string        // URL of an issuer that callers prove themselves to; "" means the stack's Vault
	Token   string        // of the callers behind Server.Client
	Timeout time.Duration // of their calls; zero means the client's own

	// TLS is the tls block of a server, whose files may be written to its folder.
	// Nil means certificates of the stack's Vault, and without Vault no TLS.
	TLS func(i int, dir string) (hcl string, err error)

	Join    []string // retry_join; nil means the servers' addresses
	Service string   // name of the servers in Consul; "" means Oakum's default
	Tags    []string // of the servers in Consul
	Paces   Paces
	Extra   string // HCL that is added to every server's configuration
	// ReadImages lets the leader read images that have no inventory. That boots machines, which
	// a test that measures does not expect.
	ReadImages bool
	// Reader lets the leader read packages of languages too, by the servers' own program.
	Reader bool
}

// Paces say how often the servers look at their fleet, and how long a twin is
// warmed up. Zero means Oakum's default.
type Paces struct {
	Scrape       time.Duration // between two scrapes of Prometheus
	Profiler     time.Duration // between two rounds of the profiler
	Checkpoint   time.Duration // between two checkpoints of the profiles
	Orchestrator time.Duration // between two turns of a rollout
	Warmup       time.Duration // of a twin
	Rate         int           // requests a second to a twin
}

// StackPaces suit the real stack on one machine.
func StackPaces() Paces {
	return Paces{Scrape: 5 * time.Second, Profiler: 2 * time.Second, Checkpoint: 10 * time.Second}
}
