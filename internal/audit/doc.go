// Package audit keeps the audit log of one server: who asked for what, what was
// answered, and what Oakum did to the world. Each entry is one line of JSON, and each
// line holds the hash of the line before it.
//
// The chain (chain.go) and its verification (verify.go) are pure. A Log owns the
// devices; each device has a chain of its own, so that each can be verified alone. An
// entry that no device takes is an error, and whoever records it must not go on. An
// entry holds no value that may be secret: such values are HMACed with the server's key
// (Log.Conceal).
//
// Goroutines: one for each device, from Open to Close. It alone knows the device's
// chain, and writes what has come meanwhile with one sync.
package audit
