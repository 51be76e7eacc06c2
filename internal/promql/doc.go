// Package promql checks PromQL texts where they are written, before anybody asks
// them. It parses a text with Prometheus' own parser and holds it against what its
// answer is used for: a text that can give no such answer is a Fault, with its place
// in the text. Policies, the agent's configuration and whoever proposes queries call
// Check; nothing here asks a store.
//
// The checks are sure: they refuse what can't work, whatever the store holds. Whether
// a series exists is for the store to say.
package promql
