// Package vault is the only importer of Vault's client library. It has two
// halves that know nothing of each other.
//
// Client is the daemon's own way into Vault: an AppRole login that is kept
// alive, and from it identity tokens that Nomad and Consul take for tokens of
// their own (Source).
//
// Authenticator is the callers' way into the daemon: identity tokens are
// verified offline against the keys that Vault publishes, Vault tokens are
// looked up at Vault. A caller's token is never stored and never logged; what
// was found out about it is remembered by hash for some seconds.
//
// Goroutines: Client.Run and Source.Run, both run by the caller.
package vault
