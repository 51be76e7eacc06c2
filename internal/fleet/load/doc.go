// Package load says how much the instances of a fleet have to do, and what they
// show of it: requests, errors, latencies, processor, memory and disk.
//
// Services call each other; requests come from outside by the hour of the week,
// and wander a little. The requests of each instance are a Poisson process, its
// errors and its latencies are drawn for each request, and no two instances are
// quite alike. A bad build does harm to what its instances show, and to those
// who call them.
//
// Nothing is stepped. A counter at a moment is the number of points that a
// process of rate one has up to the integral of the rate, and both are in closed
// form: see arrivals and Week. So any moment of the recent past can be asked for,
// in any order, and the same seed gives the same figures. 100,000 instances cost
// nothing until somebody asks.
//
// The package is pure.
package load
