// Package fleet is a Nomad fleet in memory: jobs, nodes, allocations,
// deployments and the scheduler's reconciliation, as they were measured on a
// real Nomad 1.11.
//
// The model has no clock of its own. A caller brings it to a moment with
// Advance, which carries out all that is due until then, and asks with Next
// when something is due again; virtual time jumps there. Calls that change
// something act at the moment that Advance last reached. The same seed and the
// same calls give the same fleet.
//
// It is not safe for concurrent use: whoever shares it locks. It does no I/O,
// starts no goroutine and logs nothing.
//
// What is due is kept in a heap, and a job is reconciled only when an
// evaluation asks for it, so that a fleet at rest costs nothing.
//
// Values behind the pointers that it returns are its own: readers leave them as
// they are and look at them only before the next call.
//
// Not modelled: preemption, priorities among evaluations, multiregion jobs,
// clients that may be away (max_client_disconnect), devices, volumes' claims.
package fleet
