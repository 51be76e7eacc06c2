// Package vault is the only importer of Vault's client library. It has two halves,
// which do not use each other.
//
// Client is the daemon's login to Vault. It logs in with AppRole and renews the
// login. With it, Source gets identity tokens and exchanges them for tokens of
// Nomad and Consul.
//
// Authenticator identifies the callers of the daemon. It verifies an identity
// token offline with the keys that Vault publishes, and looks a Vault token up at
// Vault. It never stores or logs a caller's token. It remembers the result for
// some seconds by the token's hash.
//
// Goroutines: the caller runs Client.Run, Source.Run and Certificate.Run.
package vault
