// Package state is Oakum's replicated state: the commands that change it, the
// machine that applies them, the tables that hold the result, its snapshots,
// the watches on it and the record of events.
//
// Guarantees. The same commands in the same order make the same state on every
// server, byte for byte: applying reads no clock, no randomness and no map
// order and does no floating-point arithmetic. A command takes effect entirely
// or not at all, and its events are written in the transaction that makes the
// change. What a read returns is a deep copy, sorted, and safe to keep and to
// change.
//
// The package must not start goroutines, log, or perform effects on the world.
package state
