// Package stats holds the sequential statistics behind Oakum's judge: test
// martingales that may be looked at as often as one likes, and the quantile
// sketches that profiles are made of.
//
// Every process in this package but Replicates is an e-process: a number that starts at one
// and whose expectation never exceeds one while its null hypothesis holds. By
// Ville's inequality the chance that it ever reaches 1/a is then at most a, no
// matter when or how often somebody looks. Processes keep logarithms, so their
// state is a few floats that add up from interval to interval and survive a
// round trip through JSON bit for bit.
//
// The package is pure: no clock, no I/O, no goroutines, no package variables.
package stats
