// Package fleet serves the fleet in memory over the HTTP APIs of Nomad, Consul and
// Prometheus, in real time. It serves the parts of them that Oakum's adapters use.
// It also issues identity tokens in the place of Vault. What happens in the fleet
// is decided by internal/fleet.
package fleet
