// Package door holds what the APIs of a served fleet have in common: the fleet
// itself, which keeps time with the clock on the wall, and what may ail an API.
package door
