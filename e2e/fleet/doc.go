// Package fleet serves the fleet in memory to programs that know nothing of it:
// the parts of Nomad's, Consul's and Prometheus' HTTP APIs that Oakum's adapters
// use, in real time, and an issuer of identity tokens in Vault's place. It
// decides nothing: what happens is internal/fleet's doing.
package fleet
