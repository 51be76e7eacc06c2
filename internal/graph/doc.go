// Package graph is the application as a directed graph: services are nodes, and
// an edge From→To says that From depends on To.
//
// It owns three things. Merge folds the evidence of each pair of services into
// an edge with a state. Analyse rates what the loss of each service would mean:
// components, dominators, blast radius and a criticality score whose parts are
// shown. Findings, Diff, Table, Tree, DOT and Mermaid present a graph to people.
//
// Two graphs are kept side by side. The certain graph holds the edges whose
// state is proof of a dependency (api.EdgeState.Certain); it decides order,
// components, dominators and blast radius. The possible graph adds those that
// may be one (api.EdgeState.Possible); it bounds the blast radius from above
// and decides which services are entries.
//
// Definitions, exactly:
//
//   - blast radius of s: the services other than s from which s is reachable
//     over certain edges. blast radius max: the same over possible edges.
//
//   - component: services that reach each other over certain edges. They share
//     a number; it is one plus the rank of their first name among all names.
//
//   - entry: a service that no service outside its own cycle of possible edges
//     depends on. Every member of a cycle that nobody outside calls is one.
//
//   - s dominates t when every path of certain edges from any entry to t runs
//     through s. An entry can dominate, as a gateway does.
//
//   - single point: a service that dominates at least one other, or one that
//     has exactly one instance and a blast radius above zero.
//
//   - gateway: a service that edges run through without being their end
//     (api.Edge.Via). Its dependants are the callers of those edges and theirs;
//     it dominates what no entry reaches once they are gone.
//
// An analysis is brought up to date by Update or Review: a change costs what it
// touches, unless it makes or breaks a cycle, a name comes or goes, or there
// are more than 32,768 services.
//
// The package is pure: no clock, no I/O, no goroutines, and the same input
// gives the same output whatever its order.
package graph
