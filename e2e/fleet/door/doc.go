// Package door holds what the APIs of a served fleet share: the fleet itself,
// which follows the clock, and the faults of an API.
package door
