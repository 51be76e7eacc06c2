// Package cluster runs Oakum's own servers as an operator would, each in a
// network namespace of its own on one bridge, does to them what machines and
// networks do, and records what callers were told meanwhile, so that it can be
// checked whether there is one order of events that explains it all.
//
// Everything that it makes in the kernel carries the name of this process and
// is removed by Close; what a killed process left is removed by the next one.
// Network namespaces, loop devices and time namespaces need root.
package cluster
